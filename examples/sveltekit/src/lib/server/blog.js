// Reads the blog from the data service. An answer that is not one is thrown: a page rendered from an error would be
// stored as a good one.

import { DATA_URL } from '$app/env/private';

/** All posts, with the version of the data they come from. */
export async function getPosts() {
  const { body, version } = await read('/blog');
  return { posts: body, version };
}

/** One post, or `null` when there is none of that id. */
export async function getPost(id) {
  const { body, version } = await read(`/blog/${encodeURIComponent(id)}`);
  return { post: body, version };
}

async function read(path) {
  const res = await fetch(`${DATA_URL}${path}`);
  if (!res.ok && res.status !== 404) throw new Error(`the data service answered ${res.status} to ${path}`);
  return { body: res.ok ? await res.json() : null, version: Number(res.headers.get('x-data-version')) };
}
