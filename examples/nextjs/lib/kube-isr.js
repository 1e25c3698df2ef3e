// Tells kube-isr that a page changed: Next.js revalidates inside its own process, so nobody outside hears of it.
//
//   KUBE_ISR_URL    where the proxy answers, for example http://kube-isr.kube-isr.svc; unset: there is no proxy to tell
//   KUBE_ISR_HOST   the page's hostname, where it differs from the one in KUBE_ISR_URL
//   KUBE_ISR_TOKEN  the route's bypass token

import http from 'node:http';
import https from 'node:https';
import { once } from 'node:events';

const TIMEOUT_MS = 30_000; // the proxy answers when the page is rendered, so this is the time a render may take

/** Regenerates the page at `path`; when it resolves, visitors get the new page. */
export async function revalidateAtProxy(path) {
  const { KUBE_ISR_URL, KUBE_ISR_HOST, KUBE_ISR_TOKEN } = process.env;
  if (!KUBE_ISR_URL) return;
  const headers = { 'x-prerender-revalidate': KUBE_ISR_TOKEN, ...(KUBE_ISR_HOST && { host: KUBE_ISR_HOST }) };
  const { request } = KUBE_ISR_URL.startsWith('https:') ? https : http; // `fetch` would not let us name the host
  const asked = request(`${KUBE_ISR_URL}${path}`, {
    method: 'HEAD',
    headers,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).end();
  const [answer] = await once(asked, 'response');
  answer.resume();
  // The status is the page's own (404 for a post that is gone); this header says whether the page was regenerated.
  if (answer.headers['x-isr-cache'] !== 'REVALIDATED') {
    throw new Error(`kube-isr answered ${answer.statusCode} to the revalidation of ${path}`);
  }
}
