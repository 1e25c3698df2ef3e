import Link from 'next/link';
import { Rendered } from '../../components/rendered';
import { getPosts } from '../../lib/blog';

export async function getStaticProps() {
  const { posts, version } = await getPosts();

  return {
    props: {
      posts,
      version,
      renderedAt: new Date().toISOString(),
    },
    revalidate: 10, // seconds
  };
}

export default function BlogPosts({ posts, version, renderedAt }) {
  return (
    <main>
      <h1>Blog posts (pages router)</h1>
      <ul>
        {posts.map((post) => (
          <li key={post.id}>
            <Link href={`/blog-posts/${post.id}`}>{post.title}</Link>
          </li>
        ))}
      </ul>
      <p>
        <a href="/app-router/blog-posts">The same blog in the app router</a>
      </p>
      <Rendered at={renderedAt} version={version} />
    </main>
  );
}
