'use strict';

const made = (globalThis[Symbol.for('@kube-isr/next')] ??= new Map());

/**
 * What there is once in a process, by its name. Next.js puts copies of the cache handler into its bundles beside the one that it
 * loads itself, and all of them must know the same.
 */
function once(name, make) {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
}

module.exports = { once };
