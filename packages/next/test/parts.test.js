'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { withKubeIsr } = require('..');
const { Heard, NUMBERS_MOST, PROXIES_MOST } = require('../lib/heard');
const { settings } = require('../lib/settings');
const { MORE, TAGS_MOST, covered, header, ofPath, path } = require('../lib/tags');

const TOKEN = 'example-only-token-write-your-own-here';

describe('what was heard', () => {
  const number = (value) => value.toString(16).padStart(16, '0');

  test('an invalidation is as old as its number, or a later one, is known', () => {
    const heard = new Heard();
    assert.equal(heard.since(`a.${number(0)}`, 10), 10, 'of a new proxy nothing is known');
    assert.equal(heard.since(`a.${number(0)}`, 20), 10);
    assert.equal(heard.since(`a.${number(7)}`, 30), 30, 'the first time');
    assert.equal(heard.since(`a.${number(7)}`, 40), 30);
    assert.equal(heard.since(`a.${number(5)}`, 50), 30, 'it was before 7');
    assert.equal(heard.since(`a.${number(255)}`, 60), 60);
    assert.equal(heard.since(`b.${number(5)}`, 70), 70, 'another proxy counts by itself');
    assert.equal(heard.since(`a.${number(0)}`, 80), 10);
  });

  test('it is bounded, and what was forgotten counts as later', () => {
    const heard = new Heard();
    for (let at = 1; at <= NUMBERS_MOST + 5; at += 1) heard.since(`a.${number(at)}`, at);
    assert.equal(heard.since(`a.${number(1)}`, 9999), 6);
    for (let proxy = 0; proxy < PROXIES_MOST; proxy += 1) heard.since(`f${proxy.toString(16)}.${number(1)}`, 1);
    assert.equal(heard.since(`a.${number(1)}`, 12345), 12345);
  });

  test('what is no such header is none', () => {
    for (const bad of ['', 'a', 'a.1', `A.${number(1)}`, `a.${number(1)}.`, `${'a'.repeat(33)}.${number(1)}`]) {
      assert.equal(new Heard().since(bad, 1), null, bad);
    }
  });
});

describe('tags', () => {
  test('go out as one header, each once', () => {
    assert.equal(header(new Set(['posts', '_N_T_/blog', 'posts '])), 'posts,_N_T_/blog');
  });

  test('are called the same by the page and by who revalidates', () => {
    const long = `_N_T_/${'x'.repeat(1000)}`;
    for (const tag of ['posts', 'with spaces', 'a,b', long]) {
      const page = header(new Set([tag])).split(',');
      assert.ok(covered([tag]).some((name) => page.includes(name)), tag);
      assert.ok(page.every((name) => name.length <= 256), tag);
    }
  });

  test('that are too many are told by one that every revalidation names', () => {
    const many = Array.from({ length: TAGS_MOST + 1 }, (_, index) => `tag-${index}`);
    const page = header(new Set(many)).split(',');
    assert.equal(page.length, TAGS_MOST);
    assert.ok(page.includes(MORE) && covered(['tag-128']).includes(MORE));
    assert.ok(!header(new Set(many.slice(1))).includes(MORE));
  });

  test('of a path are those of revalidatePath', () => {
    assert.equal(ofPath(path('/blog-posts')), '_N_T_/blog-posts');
    assert.equal(ofPath(path('/route-cache/PAGES/0123/$/blog-posts/1')), '_N_T_/blog-posts/1');
    assert.equal(ofPath('/café'), '_N_T_/caf%C3%A9');
  });
});

describe('the environment', () => {
  const good = { KUBE_ISR_URL: 'http://proxy.example:8080/', KUBE_ISR_TOKEN: TOKEN };

  test('names kube-isr', () => {
    assert.equal(settings({}), null);
    assert.equal(settings({ KUBE_ISR_TOKEN: TOKEN }), null);
    assert.equal(settings(good).host, 'proxy.example:8080');
    assert.equal(settings({ ...good, KUBE_ISR_HOST: 'shop.example.com' }).host, 'shop.example.com');
  });

  test('makes sense, or a sentence says what to write', () => {
    for (const [change, says] of [
      [{ KUBE_ISR_URL: 'proxy:8080x' }, /begins with proxy:/],
      [{ KUBE_ISR_URL: 'not a url' }, /KUBE_ISR_URL is no URL: "not a url". Write http/],
      [{ KUBE_ISR_URL: 'http://user:secret@proxy' }, /holds a user or a password/],
      [{ KUBE_ISR_TOKEN: '' }, /KUBE_ISR_TOKEN is not/],
      [{ KUBE_ISR_TOKEN: 'short' }, /32 visible ASCII characters/],
      [{ KUBE_ISR_TOKEN: `${TOKEN}\n` }, /line break/],
      [{ KUBE_ISR_HOST: 'https://shop' }, /KUBE_ISR_HOST is no hostname/],
    ]) {
      assert.throws(() => settings({ ...good, ...change }), (error) => says.test(error.message) && !error.message.includes(TOKEN));
    }
  });
});

describe('the configuration', () => {
  test('is the same with the cache handler, whatever form it has', async () => {
    const handler = require.resolve('../cache-handler');
    assert.deepEqual(withKubeIsr(), { cacheHandler: handler });
    assert.deepEqual(withKubeIsr({ basePath: '/docs' }), { basePath: '/docs', cacheHandler: handler });
    const config = withKubeIsr(async (phase) => ({ env: { phase } }));
    assert.deepEqual(await config('a phase'), { env: { phase: 'a phase' }, cacheHandler: handler });
  });

  test('has no other cache handler', () => {
    assert.throws(() => withKubeIsr({ cacheHandler: '/another.js' }), /has a cacheHandler already \(\/another.js\)/);
  });

  test('can be imported by its name from an ECMAScript module', async () => {
    const imported = await import('../index.js');
    assert.equal(imported.withKubeIsr, withKubeIsr);
    assert.equal(imported.default, withKubeIsr);
  });
});
