// Debian's Chromium, for the scripts beside this one.

import { chromium } from 'playwright-core';

const PATIENCE_MS = 60_000; // a busy machine; what is waited for takes milliseconds

/** Starts it with an empty profile; the site's host is the proxy. Whoever starts it closes it. */
export async function start({ proxy, host, profile }) {
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
  return context;
}

/** What a person would complain of, and the paths of the documents that are loaded, from now on. */
export function watch(page, { complaints, documents }) {
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

/** When a page was rendered differs between a page and its data; from what it was rendered does not. */
export async function text(page) {
  return (await page.locator('main').innerText()).replace(/Rendered \S+ from/, 'Rendered from');
}
