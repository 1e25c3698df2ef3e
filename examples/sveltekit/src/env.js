import { defineEnvVars } from '@sveltejs/kit/env';

export const variables = defineEnvVars({
  // Part of the routes' `config`, which Vercel reads when it builds. kube-isr has it from a Secret.
  BYPASS_TOKEN: { static: true, schema: (value = '') => value },
  // Where the blog's data service answers.
  DATA_URL: { schema: (value = 'http://127.0.0.1:3002') => value },
});
