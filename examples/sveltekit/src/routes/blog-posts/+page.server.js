import { BYPASS_TOKEN } from '$app/env/private';
import { getPosts } from '#lib/server/blog.js';

export const config = {
  isr: {
    expiration: 10,
    bypassToken: BYPASS_TOKEN,
  },
};

export async function load() {
  const { posts, version } = await getPosts();

  return {
    posts,
    version,
    renderedAt: new Date().toISOString(),
  };
}
