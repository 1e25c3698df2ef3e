/**
 * Next.js's configuration with kube-isr behind it. Takes whatever `next.config` may export: an object, or a function that
 * returns one, now or later.
 *
 * @throws when `KUBE_ISR_URL` or `KUBE_ISR_TOKEN` cannot work, or when the configuration has another `cacheHandler`.
 */
export function withKubeIsr<Config extends object>(config?: Config): Config & { cacheHandler: string };
export function withKubeIsr<Config extends object, Args extends unknown[]>(
  config: (...args: Args) => Config | Promise<Config>,
): (...args: Args) => Promise<Config & { cacheHandler: string }>;
export default withKubeIsr;
