import { revalidatePath } from 'next/cache';
import { revalidateAtProxy } from '../../../../lib/kube-isr';

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

  revalidatePath(path); // Next.js renders the page anew when it is next asked for it
  try {
    await revalidateAtProxy(path); // which the proxy does at once
  } catch (err) {
    // If there was an error, visitors continue to get the last successfully generated page
    console.error(err);
    return new Response('Error revalidating', {
      status: 500,
    });
  }

  return Response.json({
    revalidated: true,
    now: Date.now(),
  });
}
