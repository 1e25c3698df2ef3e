'use strict';

const http = require('node:http');
const https = require('node:https');

const { covered } = require('./tags');

const PATH = '/.well-known/kube-isr/v1/invalidate';
/** Tags in one request, at most: of the longest ones its body takes no more. Beyond that everything is named, which is more and never less. */
const TAGS_MOST = 500;
/** For an answer to come, in milliseconds: kube-isr waits 5 s for a replica that is slow before it says so. */
const ANSWER_WITHIN = 10_000;
/** How long a revalidation waits until everybody knows, in milliseconds. Then the application goes on. */
const WAIT_MOST = 10_000;
/** Between two attempts, in milliseconds: at first, and at most. Each is twice the one before, less up to a half. */
const RETRY_FIRST = 250;
const RETRY_MOST = 30_000;
/** Bytes of an answer that are read: enough for the sentence in it. */
const ANSWER_BYTES = 16 * 1024;

/** What is still to be told, and who waits for it. */
class Batch {
  constructor() {
    /** Tags whose pages are gone, and those whose pages are stale. `null`: of everything. */
    this.hard = new Set();
    this.soft = new Set();
    this.done = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  add(tags, mode) {
    this[mode] = joined(this[mode], tags);
  }

  /** Takes in what another one was to tell; who waits for it waits for this. */
  adopt(other) {
    for (const mode of ['hard', 'soft']) this[mode] = joined(this[mode], other[mode]);
    this.done.then(other.resolve);
  }

  /** The bodies of the requests, at most one for each mode. */
  bodies() {
    const soft = this.hard && this.soft ? new Set([...this.soft].filter((tag) => !this.hard.has(tag))) : this.soft;
    return [body(this.hard, 'hard'), this.hard && body(soft, 'soft')].filter(Boolean);
  }
}

function joined(known, more) {
  if (!known || !more) return null;
  for (const tag of more) known.add(tag);
  return known.size < TAGS_MOST ? known : null;
}

function body(tags, mode) {
  if (tags?.size === 0) return null;
  return JSON.stringify(tags ? { tags: [...tags], mode } : { everything: true, mode });
}

/**
 * Tells kube-isr what is out of date. One request is under way at a time; what comes meanwhile goes together in the next.
 * What fails is tried again until it succeeds, and an outage is logged once, without the token.
 */
class Sender {
  #settings;
  #log;
  #random;
  #next = new Batch();
  #isSending = false;
  #failures = 0;

  /** `log` is a console; `random` gives numbers from 0 to 1. */
  constructor(settings, log = console, random = Math.random) {
    this.#settings = settings;
    this.#log = log;
    this.#random = random;
  }

  /**
   * Pages with one of these tags are out of date: gone (`hard`), or to be served once more (`soft`). Resolves with `true` when
   * every proxy knows, and with `false` when that took too long; then it goes on behind.
   */
  async tell(tags, mode) {
    if (tags.length === 0) return true;
    const batch = this.#next;
    batch.add(covered(tags), mode);
    this.#send();
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, WAIT_MOST, false);
    });
    try {
      // Nobody waits for the retries of an outage that is known.
      return await Promise.race([batch.done, ...(this.#failures > 1 ? [false] : [late])]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    // What else is revalidated at this moment goes along.
    await null;
    while (this.#next.bodies().length > 0) {
      const batch = this.#next;
      this.#next = new Batch();
      const failure = await this.#attempt(batch);
      if (!failure) {
        this.#succeeded();
        batch.resolve(true);
      } else if (failure.isFinal) {
        this.#log.error(`@kube-isr/next: kube-isr refuses a revalidation: ${failure.reason}`);
        batch.resolve(false);
      } else {
        this.#next.adopt(batch);
        await this.#failed(failure);
      }
    }
    this.#isSending = false;
  }

  async #attempt(batch) {
    for (const body of batch.bodies()) {
      const failure = await post(this.#settings, body).then(judge, (error) => ({ reason: sentence(error) }));
      if (failure) return failure;
    }
    return null;
  }

  #succeeded() {
    if (this.#failures > 0) this.#log.warn('@kube-isr/next: kube-isr has been told what was revalidated meanwhile.');
    this.#failures = 0;
  }

  #failed({ reason }) {
    if (this.#failures === 0) {
      this.#log.error(
        `@kube-isr/next: kube-isr at ${this.#settings.url.origin} could not be told of a revalidation: ${reason} Visitors may get old pages. It is tried again until it succeeds.`,
      );
    }
    this.#failures += 1;
    const wait = Math.min(RETRY_FIRST * 2 ** (this.#failures - 1), RETRY_MOST) * (1 - this.#random() / 2);
    // A process that ends is not kept for this.
    return new Promise((resolve) => setTimeout(resolve, wait).unref());
  }
}

/** `null` for an answer that says done; else why it is none, and whether asking again is of no use. */
function judge({ status, text }) {
  if (status === 200) return null;
  return { reason: `It answered ${status}${detail(text)}.`, isFinal: status === 400 };
}

/** The sentence in a problem report (RFC 9457). */
function detail(text) {
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === 'string' ? `: ${detail.replace(/\.$/, '')}` : '';
  } catch {
    return '';
  }
}

function sentence(error) {
  return `${error.message || error.code || 'The connection failed'}.`;
}

/** `fetch` would not let us name the host, and Next.js would cache what it brings. */
function post({ url, host, token }, body) {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const asked = request(
      new URL(PATH, url),
      {
        method: 'POST',
        headers: {
          host,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'x-prerender-revalidate': token,
        },
        signal: AbortSignal.timeout(ANSWER_WITHIN),
      },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => {
          if (text.length < ANSWER_BYTES) text += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode, text }));
        answer.on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

module.exports = { ANSWER_WITHIN, Sender, TAGS_MOST };
