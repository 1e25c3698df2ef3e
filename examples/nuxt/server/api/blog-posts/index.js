export default defineEventHandler(async (event) => {
  const { body, version } = await readBlog(event, '/blog');
  return { posts: body, version, renderedAt: new Date().toISOString() };
});
