import { getPost } from '../../../../lib/blog';

export const revalidate = 3600;

export function generateStaticParams() {
  return [];
}

export default async function Photo({ params }) {
  const { id } = await params;
  const { post } = await getPost(id);
  return <main>{`${post.title}, over the feed`}</main>;
}
