// visit.mjs PROXY HOST LIST POST PROFILE: loads the list of posts, follows its link to a post and the post's link back, then
// loads the post. Prints what it saw as JSON.

import { chromium } from 'playwright-core';

const [, , proxy, host, listPath, postPath, profile] = process.argv;
const PATIENCE_MS = 60_000; // a busy machine; what is waited for takes milliseconds

const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  args: [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    `--host-resolver-rules=MAP ${host} ${proxy}`,
  ],
});
context.setDefaultTimeout(PATIENCE_MS);

const complaints = [];
const documents = [];

function watch(page) {
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    // Browsers ask for an icon by themselves.
    if (message.location().url.endsWith('/favicon.ico')) return;
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400 && !response.url().endsWith('/favicon.ico')) complaints.push(`${response.status()}: ${response.url()}`);
  });
  page.on('request', (request) => {
    if (request.isNavigationRequest()) documents.push(new URL(request.url()).pathname);
  });
  return page;
}

// When a page was rendered differs between a page and its data; from what it was rendered does not.
const text = async (page) => (await page.locator('main').innerText()).replace(/Rendered \S+ from/, 'Rendered from');
const url = (path) => `http://${host}${path}`;

try {
  const page = watch(await context.newPage());
  await page.goto(url(listPath), { waitUntil: 'networkidle' });
  const list = await text(page);
  await page.click(`main a[href="${postPath}"]`);
  await page.waitForURL(url(postPath), { waitUntil: 'commit' });
  await page.waitForSelector(`main a[href="${listPath}"]`);
  const byLink = await text(page);
  await page.click(`main a[href="${listPath}"]`);
  await page.waitForSelector(`main a[href="${postPath}"]`);
  const listByLink = await text(page);
  const loaded = [...documents];

  const other = watch(await context.newPage());
  await other.goto(url(postPath), { waitUntil: 'networkidle' });
  const byLoad = await text(other);
  console.log(JSON.stringify({ list, byLink, listByLink, byLoad, complaints, documents: loaded }));
} finally {
  await context.close();
}
