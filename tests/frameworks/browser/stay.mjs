// stay.mjs PROXY HOST LIST POST PROFILE: loads the list of posts and says so by a line; after a line on its input follows the link
// to a post. Prints what it saw as JSON.

import { once } from 'node:events';

import { start, text, watch } from './chromium.mjs';

const [, , proxy, host, listPath, postPath, profile] = process.argv;
const url = (path) => `http://${host}${path}`;
const seen = { complaints: [], documents: [] };

const context = await start({ proxy, host, profile });
try {
  const page = await context.newPage();
  // Nothing is fetched before it is needed: what a link leads to would be there already, and of the old build.
  const isOfLink = (request) => new URL(request.url()).pathname.includes(postPath) || request.headers()['next-router-prefetch'];
  const refuse = (route) => (isOfLink(route.request()) ? route.abort() : route.continue());
  await page.route('**', refuse);
  await page.goto(url(listPath), { waitUntil: 'networkidle' });
  seen.documents.push(listPath);
  console.log('open');
  await once(process.stdin, 'data');
  process.stdin.destroy();

  await page.unroute('**', refuse);
  watch(page, seen);
  await page.click(`main a[href="${postPath}"]`);
  await page.waitForURL(url(postPath), { waitUntil: 'commit' });
  await page.waitForSelector(`main a[href="${listPath}"]`);
  // A second load would have begun by then.
  await page.waitForLoadState('networkidle');
  console.log(JSON.stringify({ ...seen, byLink: await text(page) }));
} finally {
  await context.close();
}
