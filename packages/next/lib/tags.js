'use strict';

const { createHash } = require('node:crypto');

/** Bytes of a tag, at most, that kube-isr takes. Next.js allows paths of 1,024 characters. */
const TAG_BYTES = 256;
/** Tags of a response, at most, that count there. */
const TAGS_MOST = 128;
/** Carried by a page that has more: every revalidation reaches it, because it may carry what is named. */
const MORE = '@kube-isr/next:more';
/** What Next.js puts before a path to make a tag of it. */
const PATH = '_N_T_';

/**
 * The names under which kube-isr knows a tag of Next.js. It parts tags by commas, as Next.js does in its own header;
 * whoever revalidates `a,b` reaches what carries `a` or `b`.
 */
function names(tag) {
  return tag
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
    .map((name) => (Buffer.byteLength(name) <= TAG_BYTES ? name : `sha256-${createHash('sha256').update(name).digest('hex')}`));
}

/** The value of `Cache-Tag` for a page with these tags. */
function header(tags) {
  const all = [...new Set([...tags].flatMap(names))];
  return (all.length <= TAGS_MOST ? all : [MORE, ...all.slice(0, TAGS_MOST - 1)]).join(',');
}

/** What to invalidate when these tags are. */
function covered(tags) {
  return [MORE, ...tags.flatMap(names)];
}

/**
 * The path of the page that Next.js stores under `key`, which is the path itself or, since 16.4, ends with it
 * (`/route-cache/PAGES/<digest>/$/blog-posts`).
 */
function path(key) {
  return key.startsWith('/route-cache/') ? key.slice(key.indexOf('/$/') + 2) : key;
}

/** The tag that `revalidatePath(path)` names. */
function ofPath(path) {
  return PATH + encoded(path);
}

/** As Next.js writes a tag into a header: whatever is not printable ASCII as in a URL. */
function encoded(text) {
  return /[^\x20-\x7e]/.test(text) ? text.replace(/[^\x20-\x7e]+/g, encodeURIComponent) : text;
}

module.exports = { MORE, TAGS_MOST, covered, header, names, ofPath, path };
