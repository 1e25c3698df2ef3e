// Whoever follows this link sees the photo of `(..)photo`, and whoever loads its path that of `photo`.
import Link from 'next/link';

export const revalidate = 3600;

export default function Feed() {
  return <Link href="/photo/1">The photo</Link>;
}
