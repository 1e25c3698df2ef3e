'use strict';

const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const FileSystemCache = require('next/dist/server/lib/incremental-cache/file-system-cache').default;
const { tagsManifest } = require('next/dist/server/lib/incremental-cache/tags-manifest.external.js');

const { answerTo, install } = require('./lib/answers');
const { Heard } = require('./lib/heard');
const { once } = require('./lib/once');
const { Sender } = require('./lib/sender');
const { settings } = require('./lib/settings');
const { ofPath, path } = require('./lib/tags');

/** Sent by kube-isr with each render: the last invalidation that may concern the page. */
const SINCE = 'x-isr-since';
/** Sent by Next.js to itself, by `res.revalidate()`, with the `previewModeId`. */
const REVALIDATE = 'x-prerender-revalidate';
/** Where Next.js keeps the tags of a page of the app router. */
const TAGS = 'x-next-cache-tags';
/** A page that is too old to be given to anybody. */
const EXPIRED = { lastModified: -1, value: { kind: 'PAGES', html: '', pageData: {} } };
/** Pages whose revalidation is noted for `'use cache'`, at most. */
const NOTES_MOST = 10_000;

const heard = once('heard', () => new Heard());
const notes = once('notes', () => new Map());
/** Header fields of the requests by `res.revalidate()` that kube-isr has been told of. */
const revalidations = once('revalidations', () => new WeakSet());

/**
 * The cache of Next.js, seen through by kube-isr. What kube-isr asks for is rendered anew: it is the cache of pages, and this
 * one keeps data. Whatever the application revalidates, kube-isr is told. All other requests are served as without it.
 *
 * One of these is made for each request.
 */
class KubeIsrCacheHandler extends FileSystemCache {
  constructor(context) {
    super(context);
    this.began = now();
    this.headers = context._requestHeaders ?? {};
    this.folder = context.serverDistDir;
    this.sender = once('sender', () => start(context.dev));
    const since = this.headers[SINCE];
    if (typeof since === 'string') this.since = heard.since(since, this.began);
    if (this.isRender) {
      install();
      this.answer = answerTo(this.headers);
    }
  }

  /** Whether kube-isr asks, for a page that it will keep. */
  get isRender() {
    return typeof this.since === 'number';
  }

  async get(key, context) {
    if (context.kind === 'FETCH') return this.data(await super.get(key, context));
    if (this.isRender) note(ofPath(path(key)), this.since);
    const entry = await this.page(key, context);
    this.found = entry?.value;
    return entry;
  }

  /**
   * A page of this cache. For kube-isr there is none; of the pages router one that has expired, because with none Next.js would
   * give the fallback of the route instead of the page, also to `res.revalidate()`. Of the app router it is none, because with
   * an expired one Next.js would not use the data that it has.
   */
  async page(key, context) {
    const none = context.kind === 'PAGES' ? EXPIRED : null;
    if (this.isRender) return none;
    return (await super.get(key, context)) ?? (this.isRevalidation() ? none : null);
  }

  /** An entry of the data cache, as old as the request that read it: the answer may have been longer under way. */
  data(entry) {
    const lastModified = entry?.value?.began ?? entry?.lastModified;
    if (!entry || (this.isRender && lastModified < this.since)) return null;
    return { ...entry, lastModified };
  }

  async set(key, value, context) {
    // Next.js also sets what it has read, to give it more tags.
    if (value?.kind === 'FETCH') return super.set(key, { began: this.began, ...value }, context);
    // When a render has failed, Next.js sets again what it had.
    const isKept = value && value === this.found;
    if (isKept) return this.isRender || value === EXPIRED.value ? undefined : super.set(key, value, context);
    if (this.isRender) {
      this.answer.isRendered = true;
      for (const tag of tags(key, value)) this.answer.tags.add(tag);
      return undefined;
    }
    await super.set(key, value, context);
    if (this.isRevalidation()) {
      // The page that was asked for comes first, and the one that says that it is not there afterwards.
      revalidations.add(this.headers);
      await this.sender.tell([ofPath(path(key))], 'hard');
    }
    return undefined;
  }

  async revalidateTag(tags, durations) {
    await super.revalidateTag(tags, durations);
    await this.sender?.tell([tags].flat(), durations && durations.expire !== 0 ? 'soft' : 'hard');
  }

  /** Whether `res.revalidate()` asks, and kube-isr has not been told. */
  isRevalidation() {
    const token = this.headers[REVALIDATE];
    return this.sender && token !== undefined && !revalidations.has(this.headers) && token === previewModeId(this.folder);
  }
}

/** The tags of a page: what Next.js found out in the app router, and its path, by which the pages router is revalidated. */
function tags(key, value) {
  const found = value?.headers?.[TAGS];
  return [ofPath(path(key)), ...(typeof found === 'string' ? found.split(',') : [])];
}

/**
 * Has Next.js treat this page as revalidated at that moment, which is how `'use cache'` knows what is too old for it.
 */
function note(tag, at) {
  const known = tagsManifest.get(tag);
  if ((known?.expired ?? 0) < at) tagsManifest.set(tag, { ...known, expired: at });
  notes.delete(tag);
  notes.set(tag, at);
  if (notes.size > NOTES_MOST) {
    const [oldest, noted] = notes.entries().next().value;
    notes.delete(oldest);
    // What the application itself has revalidated since is not ours to forget.
    if (tagsManifest.get(oldest)?.expired === noted) tagsManifest.delete(oldest);
  }
}

let preview;

function previewModeId(folder) {
  preview ??= JSON.parse(readFileSync(join(folder, '..', 'prerender-manifest.json'), 'utf8')).preview.previewModeId;
  return preview;
}

/** Who tells kube-isr; `null` when there is nobody to tell. */
function start(isDevelopment) {
  const isBuild = process.env.NEXT_PHASE === 'phase-production-build';
  try {
    const found = settings(process.env);
    if (found) return new Sender(found);
    if (!isBuild && !isDevelopment) {
      console.warn('@kube-isr/next: KUBE_ISR_URL is not set, so that nobody outside of this process hears of a revalidation.');
    }
  } catch (error) {
    console.error(error.message);
  }
  return null;
}

/** Milliseconds, as Next.js counts them. */
function now() {
  return performance.timeOrigin + performance.now();
}

module.exports = KubeIsrCacheHandler;
