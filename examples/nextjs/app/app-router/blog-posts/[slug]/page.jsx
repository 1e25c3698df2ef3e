import Link from 'next/link';
import { notFound, redirect } from 'next/navigation';
import { Rendered } from '../../../../components/rendered';
import { getPost, getPosts } from '../../../../lib/blog';

export const revalidate = 10; // seconds

// No post is rendered at build time: the first visitor of each one waits for it.
export function generateStaticParams() {
  return [];
}

export default async function Page({ params }) {
  const { slug } = await params;
  if (slug === 'latest') {
    const { posts } = await getPosts();
    redirect(`/app-router/blog-posts/${Math.max(...posts.map((post) => post.id))}`);
  }
  const { post, version } = await getPost(slug);
  if (!post) notFound();

  return (
    <main>
      <h1>{post.title}</h1>
      <p>
        <Link href="/app-router/blog-posts">All posts</Link>
      </p>
      <Rendered at={new Date().toISOString()} version={version} />
    </main>
  );
}
