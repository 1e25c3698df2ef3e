import Link from 'next/link';
import { Rendered } from '../../../components/rendered';
import { getPosts } from '../../../lib/blog';

export const revalidate = 10; // seconds

export default async function Page() {
  const { posts, version } = await getPosts();

  return (
    <main>
      <h1>Blog posts (app router)</h1>
      <ul>
        {posts.map((post) => (
          <li key={post.id}>
            <Link href={`/app-router/blog-posts/${post.id}`}>{post.title}</Link>
          </li>
        ))}
      </ul>
      <p>
        <a href="/blog-posts">The same blog in the pages router</a>
      </p>
      <Rendered at={new Date().toISOString()} version={version} />
    </main>
  );
}
