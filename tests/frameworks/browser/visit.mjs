// visit.mjs PROXY HOST LIST POST PROFILE: loads the list of posts, follows its link to a post and the post's link back, then
// loads the post. Prints what it saw as JSON.

import { start, text, watch } from './chromium.mjs';

const [, , proxy, host, listPath, postPath, profile] = process.argv;
const url = (path) => `http://${host}${path}`;
const seen = { complaints: [], documents: [] };

const context = await start({ proxy, host, profile });
try {
  const page = watch(await context.newPage(), seen);
  await page.goto(url(listPath), { waitUntil: 'networkidle' });
  const list = await text(page);
  await page.click(`main a[href="${postPath}"]`);
  await page.waitForURL(url(postPath), { waitUntil: 'commit' });
  await page.waitForSelector(`main a[href="${listPath}"]`);
  const byLink = await text(page);
  await page.click(`main a[href="${listPath}"]`);
  await page.waitForSelector(`main a[href="${postPath}"]`);
  const listByLink = await text(page);
  const documents = [...seen.documents];

  const other = watch(await context.newPage(), seen);
  await other.goto(url(postPath), { waitUntil: 'networkidle' });
  const byLoad = await text(other);
  console.log(JSON.stringify({ list, byLink, listByLink, byLoad, complaints: seen.complaints, documents }));
} finally {
  await context.close();
}
