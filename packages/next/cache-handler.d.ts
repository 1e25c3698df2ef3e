/** The `cacheHandler` that `withKubeIsr` configures: Next.js's own cache, which kube-isr sees through. */
declare const KubeIsrCacheHandler: new (...args: unknown[]) => object;
export default KubeIsrCacheHandler;
