import { revalidatePath } from 'next/cache';

export async function GET(request) {
  const { searchParams } = new URL(request.url);
  const secret = process.env.MY_SECRET_TOKEN;
  if (!secret || searchParams.get('secret') !== secret) {
    return new Response('Invalid credentials', {
      status: 401,
    });
  }
  const path = searchParams.get('path') ?? '/app-router/blog-posts';
  if (!path.startsWith('/')) {
    return new Response('path is one page, such as /app-router/blog-posts/1', {
      status: 400,
    });
  }

  revalidatePath(path);

  return Response.json({
    revalidated: true,
    now: Date.now(),
  });
}
