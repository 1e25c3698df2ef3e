'use strict';

/** Characters of a route's token, at least: what an `IsrRoute` accepts. */
const TOKEN_LEAST = 32;

/**
 * What the environment says, or `null` when it says that there is no kube-isr.
 *
 *   KUBE_ISR_URL    where its proxies answer, for example http://kube-isr-proxy.kube-isr-system
 *   KUBE_ISR_HOST   the site's hostname, where it differs from the one in KUBE_ISR_URL
 *   KUBE_ISR_TOKEN  the token of the site's routes (`spec.bypassToken`)
 *
 * Throws a sentence that says what to write when it makes no sense. No message holds the token.
 */
function settings({ KUBE_ISR_URL, KUBE_ISR_HOST, KUBE_ISR_TOKEN }) {
  if (!KUBE_ISR_URL) return null;
  let url;
  try {
    url = new URL(KUBE_ISR_URL);
  } catch {
    throw bad(`KUBE_ISR_URL is no URL: ${JSON.stringify(KUBE_ISR_URL)}. Write http://kube-isr-proxy.kube-isr-system, or the site's own address.`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw bad(`KUBE_ISR_URL begins with ${url.protocol} and must begin with http: or https:.`);
  }
  if (url.username || url.password) {
    throw bad('KUBE_ISR_URL holds a user or a password, which kube-isr does not ask for. Remove them.');
  }
  if (!KUBE_ISR_TOKEN) {
    throw bad('KUBE_ISR_URL is set and KUBE_ISR_TOKEN is not. Set it to the token of the IsrRoutes (spec.bypassToken).');
  }
  if (KUBE_ISR_TOKEN.length < TOKEN_LEAST || /[^\x21-\x7e]/.test(KUBE_ISR_TOKEN)) {
    throw bad(`KUBE_ISR_TOKEN is not a token that a route can have: ${TOKEN_LEAST} visible ASCII characters or more. Is there a line break at its end?`);
  }
  if (KUBE_ISR_HOST && !/^[a-z0-9.-]+(:\d+)?$/i.test(KUBE_ISR_HOST)) {
    throw bad(`KUBE_ISR_HOST is no hostname: ${JSON.stringify(KUBE_ISR_HOST)}. Write it as in the IsrRoutes, for example shop.example.com.`);
  }
  return { url, host: KUBE_ISR_HOST || url.host, token: KUBE_ISR_TOKEN };
}

function bad(sentence) {
  return new Error(`@kube-isr/next: ${sentence}`);
}

module.exports = { settings };
