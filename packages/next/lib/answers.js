'use strict';

const { ServerResponse } = require('node:http');

const { once } = require('./once');
const { header } = require('./tags');

/**
 * What is known of the requests by which kube-isr asks for pages, by the object that holds the request's header fields: the
 * only part of a request that Next.js shows to a cache handler.
 */
const answers = once('answers', () => new WeakMap());

/** How a page comes to be, as far as its cache handler sees. */
class Answer {
  /** Whether it was rendered for this request. */
  isRendered = false;
  tags = new Set();

  /** Completes the header fields of the response. */
  complete(response) {
    // Next.js has one render answer all who ask for the same page meanwhile, also one that began before an invalidation. Whoever
    // did not render knows nothing of the page, and kube-isr is to ask again.
    if (response.hasHeader('x-nextjs-cache')) {
      response.setHeader('x-nextjs-cache', this.isRendered ? 'MISS' : 'STALE');
    }
    if (this.tags.size > 0) response.setHeader('cache-tag', header(this.tags));
  }
}

/** The answer to the request with these header fields. */
function answerTo(headers) {
  let answer = answers.get(headers);
  if (!answer) {
    answer = new Answer();
    answers.set(headers, answer);
  }
  return answer;
}

/**
 * Has Node.js complete the responses to such requests. Next.js takes the tags out of what it sends, and gives a cache handler no
 * response. All of them pass here last, also those that were under way before this was loaded.
 */
function install() {
  const { _storeHeader: store } = ServerResponse.prototype;
  ServerResponse.prototype._storeHeader = function (...args) {
    answers.get(this.req?.headers)?.complete(this);
    return store.apply(this, args);
  };
  return true;
}

module.exports = { answerTo, install: () => once('install', install) };
