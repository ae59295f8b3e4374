import { z } from 'zod'
import { seconds } from './values.ts'

/** How Nix is used, and its limits. */
export const nixSettings = {
  NIX_TIMEOUT: seconds.default(60).describe('seconds that one builder of Nix may run'),
  NIXERY_BUILD_TIMEOUT: seconds.default(3600).describe('seconds that all building for one image may take'),
  NIXERY_EVAL_TIMEOUT: seconds
    .default(120)
    .describe('seconds that one evaluation, or fetching packages, may take'),
  NIXERY_NIX_JOBS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(2)
    .describe('evaluations, and realisations, that run at once'),
  NIXERY_EVALUATOR: z
    .enum(['warm', 'cold'])
    .default('warm')
    .describe('`warm` keeps a Nix process with the packages loaded, `cold` starts one for each evaluation'),
  NIXERY_EVAL_MEMORY: z.coerce
    .number()
    .int()
    .min(64)
    .default(4096)
    .describe('megabytes of memory that an evaluation may take'),
}
