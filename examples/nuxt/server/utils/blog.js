/** Reads from the data service: the body, `null` for what is not there, and the version of the data. */
export async function readBlog(event, path) {
  const { dataUrl } = useRuntimeConfig(event);
  const res = await $fetch.raw(`${dataUrl}${path}`, { ignoreResponseError: true });
  if (!res.ok && res.status !== 404) {
    throw createError({ statusCode: 502, message: `the data service answered ${res.status} to ${path}` });
  }
  return { body: res.ok ? res._data : null, version: Number(res.headers.get('x-data-version')) };
}
