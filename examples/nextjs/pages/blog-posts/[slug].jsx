import Link from 'next/link';
import { Rendered } from '../../components/rendered';
import { getPost, getPosts } from '../../lib/blog';

// No post is rendered at build time: the first visitor of each one waits for it.
export function getStaticPaths() {
  return { paths: [], fallback: 'blocking' };
}

export async function getStaticProps({ params }) {
  if (params.slug === 'latest') {
    const { posts } = await getPosts();
    const latest = Math.max(...posts.map((post) => post.id));
    return { redirect: { destination: `/blog-posts/${latest}`, permanent: false }, revalidate: 10 };
  }
  const { post, version } = await getPost(params.slug);
  if (!post) return { notFound: true, revalidate: 10 };

  return {
    props: {
      post,
      version,
      renderedAt: new Date().toISOString(),
    },
    revalidate: 10, // seconds
  };
}

export default function BlogPost({ post, version, renderedAt }) {
  return (
    <main>
      <h1>{post.title}</h1>
      <p>
        <Link href="/blog-posts">All posts</Link>
      </p>
      <Rendered at={renderedAt} version={version} />
    </main>
  );
}
