'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const { once } = require('node:events');
const { test } = require('node:test');

const { Sender, TAGS_MOST } = require('../lib/sender');
const { MORE } = require('../lib/tags');

const TOKEN = 'example-only-token-write-your-own-here';

/** A kube-isr that answers as it is told, and what it was asked. */
async function proxy(t, answer = () => 200) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    const { method, url, headers } = request;
    asked.push({ method, url, host: headers.host, token: headers['x-prerender-revalidate'], body: JSON.parse(text) });
    const said = await answer(asked.length);
    if (said === 'hang up') return request.socket.destroy();
    response.writeHead(said, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ detail: `As told, ${said}.` }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { asked, url: new URL(`http://127.0.0.1:${server.address().port}`) };
}

function sender(url, lines = []) {
  const log = { error: (line) => lines.push(line), warn: (line) => lines.push(line) };
  // The shortest waits between attempts.
  return new Sender({ url, host: 'shop.example.com', token: TOKEN }, log, () => 1);
}

function gate() {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test('one request says what, for which host, with the token', async (t) => {
  const { asked, url } = await proxy(t);
  assert.equal(await sender(url).tell(['posts'], 'hard'), true);
  assert.deepEqual(asked, [
    {
      method: 'POST',
      url: '/.well-known/kube-isr/v1/invalidate',
      host: 'shop.example.com',
      token: TOKEN,
      body: { tags: [MORE, 'posts'], mode: 'hard' },
    },
  ]);
});

test('what comes while a request is under way goes together in the next', async (t) => {
  const first = gate();
  const { asked, url } = await proxy(t, async (count) => {
    if (count === 1) await first.opened;
    return 200;
  });
  const one = sender(url);
  const told = [one.tell(['a'], 'hard')];
  while (asked.length < 1) await new Promise((resolve) => setImmediate(resolve));
  told.push(one.tell(['b'], 'hard'), one.tell(['b', 'c'], 'soft'), one.tell(['d'], 'hard'));
  first.open();
  assert.deepEqual(await Promise.all(told), [true, true, true, true]);
  assert.deepEqual(
    asked.map(({ body }) => body),
    [
      { tags: [MORE, 'a'], mode: 'hard' },
      { tags: [MORE, 'b', 'd'], mode: 'hard' },
      { tags: ['c'], mode: 'soft' },
    ],
    'and what is gone need not be stale as well',
  );
});

test('an outage is tried again until it is over, and logged once, without the token', async (t) => {
  const lines = [];
  const { asked, url } = await proxy(t, (count) => (count < 4 ? ['hang up', 503, 401][count - 1] : 200));
  const one = sender(url, lines);
  assert.deepEqual(await Promise.all([one.tell(['a'], 'hard'), one.tell(['b'], 'hard')]), [true, true]);
  assert.equal(asked.length, 4);
  assert.deepEqual(asked[3].body, asked[0].body, 'nothing is lost');
  assert.equal(lines.length, 2, lines.join('\n'));
  assert.match(lines[0], /could not be told of a revalidation: .*tried again/);
  assert.match(lines[1], /has been told/);
  assert.ok(lines.every((line) => !line.includes(TOKEN)));
});

test('in an outage that is known nobody waits', async (t) => {
  const { asked, url } = await proxy(t, () => 503);
  const one = sender(url);
  one.tell(['a'], 'hard');
  while (asked.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(await one.tell(['b'], 'hard'), false);
});

test('what makes no sense is said and not tried again', async (t) => {
  const lines = [];
  const { asked, url } = await proxy(t, () => 400);
  assert.equal(await sender(url, lines).tell(['a'], 'hard'), false);
  assert.equal(asked.length, 1);
  assert.deepEqual(lines, ['@kube-isr/next: kube-isr refuses a revalidation: It answered 400: As told, 400.']);
});

test('more tags than one request may name are everything', async (t) => {
  const { asked, url } = await proxy(t);
  const many = Array.from({ length: TAGS_MOST + 1 }, (_, index) => `tag-${index}`);
  await sender(url).tell(many, 'soft');
  assert.deepEqual(asked[0].body, { everything: true, mode: 'soft' });
});

test('nothing is told when nothing is named', async (t) => {
  const { asked, url } = await proxy(t);
  assert.equal(await sender(url).tell([], 'hard'), true);
  assert.equal(asked.length, 0);
});
