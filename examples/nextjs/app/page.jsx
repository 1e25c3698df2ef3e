export default function Page() {
  return (
    <main>
      <h1>One blog, two routers</h1>
      <ul>
        <li>
          <a href="/blog-posts">Pages router</a>, with <code>getStaticProps</code> and <code>revalidate: 10</code>
        </li>
        <li>
          <a href="/app-router/blog-posts">App router</a>, with <code>export const revalidate = 10</code>
        </li>
      </ul>
    </main>
  );
}
