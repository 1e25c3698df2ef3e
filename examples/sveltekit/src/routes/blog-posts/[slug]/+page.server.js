import { error, redirect } from '@sveltejs/kit';
import { BYPASS_TOKEN } from '$app/env/private';
import { getPost, getPosts } from '#lib/server/blog.js';

export const config = {
  isr: {
    expiration: 10,
    bypassToken: BYPASS_TOKEN,
  },
};

export async function load({ params }) {
  if (params.slug === 'latest') {
    const { posts } = await getPosts();
    redirect(307, `/blog-posts/${Math.max(...posts.map((post) => post.id))}`);
  }
  const { post, version } = await getPost(params.slug);
  if (!post) error(404, 'Not found');

  return {
    post,
    version,
    renderedAt: new Date().toISOString(),
  };
}
