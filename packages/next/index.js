'use strict';

const { settings } = require('./lib/settings');

const HANDLER = require.resolve('./cache-handler');

/**
 * Next.js's configuration with kube-isr behind it: `module.exports = withKubeIsr({ … })`. Takes whatever Next.js takes, an
 * object or a function that returns one, now or later.
 */
function withKubeIsr(config = {}) {
  // What cannot work is said where everybody looks, before anything is built or served.
  settings(process.env);
  if (typeof config === 'function') {
    return async (...args) => completed(await config(...args));
  }
  return completed(config);
}

function completed(config) {
  if (config?.cacheHandler && config.cacheHandler !== HANDLER) {
    throw new Error(
      `@kube-isr/next: next.config has a cacheHandler already (${config.cacheHandler}), and there can be one. Remove it, or do without withKubeIsr.`,
    );
  }
  return { ...config, cacheHandler: HANDLER };
}

// `withKubeIsr` by either way of importing, also from an ECMAScript module.
module.exports = withKubeIsr;
module.exports.withKubeIsr = withKubeIsr;
module.exports.default = withKubeIsr;
