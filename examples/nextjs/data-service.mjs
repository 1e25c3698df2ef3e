// The blog's data: a few posts in memory, a version that counts every change, and a switch that makes it fail.
//
//   GET  /blog       all posts          GET  /blog/ID   one post (404 for an unknown id)
//   POST /blog/ID    {"title": "…"} edits a title (an unknown id becomes a new post)
//   DELETE /blog/ID  takes a post away
//   POST /bump       a new version, same posts
//   POST /fail       answers 500 to every GET /blog… until POST /ok
//   GET  /           the version, the mode, and how often the blog was read
//
// Every answer carries `x-data-version`. Configured by HOST (127.0.0.1) and PORT (3002); no dependencies.

import { createServer } from 'node:http';

const MAX_BODY_BYTES = 64 * 1024; // a title, not an upload

const posts = new Map(
  ['Pages that are never rebuilt', 'Stale for a moment, never wrong', 'What the last good page is worth'].map(
    (title, index) => [index + 1, { id: index + 1, title }],
  ),
);
const state = { version: 1, failing: false, reads: 0 };

const server = createServer(async (request, response) => {
  const { status, body } = await answer(request).catch((error) => ({
    status: 400,
    body: { message: `${error.message}. Write {"title": "…"} as JSON.` },
  }));
  response.writeHead(status, { 'content-type': 'application/json', 'x-data-version': state.version });
  response.end(`${JSON.stringify(body)}\n`);
});

async function answer(request) {
  const { pathname } = new URL(request.url, 'http://data');
  const id = Number(pathname.match(/^\/blog\/([1-9][0-9]{0,8})$/)?.[1]);
  const what = `${request.method} ${id ? '/blog/ID' : pathname}`;

  if (request.method === 'GET' && pathname.startsWith('/blog')) {
    state.reads += 1;
    if (state.failing) return { status: 500, body: { message: 'failing as told; POST /ok ends it' } };
  }
  switch (what) {
    case 'GET /':
      return { status: 200, body: state };
    case 'GET /blog':
      return { status: 200, body: [...posts.values()] };
    case 'GET /blog/ID':
      return posts.has(id) ? { status: 200, body: posts.get(id) } : noSuchPost(id);
    case 'POST /blog/ID': {
      const { title } = JSON.parse(await readBody(request));
      if (typeof title !== 'string') throw new Error('the title is missing');
      posts.set(id, { id, title });
      return changed();
    }
    case 'DELETE /blog/ID':
      return posts.delete(id) ? changed() : noSuchPost(id);
    case 'POST /bump':
      return changed();
    case 'POST /fail':
    case 'POST /ok':
      state.failing = pathname === '/fail';
      return { status: 200, body: state };
    default:
      return { status: 404, body: { message: `no ${request.method} ${pathname} here` } };
  }
}

function changed() {
  state.version += 1;
  return { status: 200, body: state };
}

function noSuchPost(id) {
  return { status: 404, body: { message: `no post ${id}` } };
}

async function readBody(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_BODY_BYTES) throw new Error('the body is too long');
  }
  return text;
}

server.on('error', (error) => {
  console.error(`data service: ${error.message}`);
  process.exitCode = 1;
});
server.listen(Number(process.env.PORT ?? 3002), process.env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`data service listening on http://${address}:${port}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
