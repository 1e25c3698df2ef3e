export default defineNuxtConfig({
  compatibilityDate: '2026-11-01',
  telemetry: false,
  css: ['~/assets/style.css'],
  app: { head: { title: 'kube-isr and Nuxt', htmlAttrs: { lang: 'en' }, link: [{ rel: 'icon', href: 'data:,' }] } },
  runtimeConfig: { dataUrl: 'http://127.0.0.1:3002' }, // NUXT_DATA_URL
  routeRules: {
    // These routes will be revalidated every 10 seconds in the background
    '/blog-posts': { isr: 10 },
    '/blog-posts/**': { isr: 10 },
  },
  // A page carries its own data, and hydrates from it. By default Nuxt 4 fetches what belongs to a page as a second render,
  // which may be newer. (Nuxt 5 has this by default.)
  experimental: { payloadExtraction: 'client' },
  nitro: {
    preset: 'node-server',
    // Vercel reads this when it builds. kube-isr has it from a Secret.
    vercel: { config: { bypassToken: process.env.BYPASS_TOKEN } },
  },
});
