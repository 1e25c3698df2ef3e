export default async function handler(request, response) {
  // Check for secret to confirm this is a valid request
  const secret = process.env.MY_SECRET_TOKEN;
  if (!secret || request.query.secret !== secret) {
    return response.status(401).json({ message: 'Invalid token' });
  }
  // This should be the actual path, not a rewritten path
  // e.g. for "/blog-posts/[slug]" this should be "/blog-posts/1"
  const { path = '/blog-posts' } = request.query;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    return response.status(400).json({ message: 'path is one page, such as /blog-posts/1' });
  }

  try {
    await response.revalidate(path);
    return response.json({ revalidated: true });
  } catch (err) {
    // If there was an error, Next.js will continue to show the last successfully generated page
    console.error(err);
    return response.status(500).send('Error revalidating');
  }
}
