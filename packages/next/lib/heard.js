'use strict';

/** Numbers that are remembered of one proxy, at most; of what is older too much counts as old, and never too little. */
const NUMBERS_MOST = 1000;
/** Proxies that are remembered, at most. One that starts again is another one. */
const PROXIES_MOST = 64;

/**
 * When this process first heard of each invalidation.
 *
 * Every render that kube-isr asks for carries `x-isr-since: PROXY.NUMBER`, the last invalidation that may concern the page. The
 * first time that a number is heard, or a greater one of the same proxy, the invalidation is in the past. So what was read
 * after that moment is new enough, whatever the clocks of other machines say, and whichever replica of the application was told
 * of the revalidation.
 */
class Heard {
  #proxies = new Map();

  /** The moment after which data must have been read, in milliseconds as `now` is; `null` for what is no such header. */
  since(value, now) {
    const [, proxy, number] = /^([0-9a-f]{1,32})\.([0-9a-f]{16})$/.exec(value) ?? [];
    if (!proxy) return null;
    const moments = this.#of(proxy);
    // Of equal length, so that texts compare as numbers do.
    const later = moments.findIndex((moment) => moment.number >= number);
    if (later >= 0) return moments[later].at;
    moments.push({ number, at: now });
    if (moments.length > NUMBERS_MOST) moments.shift();
    return now;
  }

  #of(proxy) {
    const moments = this.#proxies.get(proxy) ?? [];
    // The one that was heard last is the last to be forgotten.
    this.#proxies.delete(proxy);
    this.#proxies.set(proxy, moments);
    if (this.#proxies.size > PROXIES_MOST) this.#proxies.delete(this.#proxies.keys().next().value);
    return moments;
  }
}

module.exports = { Heard, NUMBERS_MOST, PROXIES_MOST };
