export default defineEventHandler(async (event) => {
  const { body, version } = await readBlog(event, `/blog/${encodeURIComponent(getRouterParam(event, 'slug'))}`);
  if (!body) throw createError({ statusCode: 404, message: 'no such post' });
  return { post: body, version, renderedAt: new Date().toISOString() };
});
