import '../components/style.css';

export const metadata = { title: 'kube-isr and Next.js' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
