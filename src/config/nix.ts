import { list, oneOf, seconds, whole } from './values.ts'

/** How Nix is used, and its limits. */
export const nixSettings = {
  NIX_TIMEOUT: seconds.default(60).describe('seconds that one builder of Nix may run'),
  NIXERY_BUILD_TIMEOUT: seconds.default(3600).describe('seconds that all building for one image may take'),
  NIXERY_EVAL_TIMEOUT: seconds.default(120).describe('seconds that one evaluation may take'),
  NIXERY_NIX_JOBS: whole('a number of processes', 1, 64)
    .default(2)
    .describe(
      'realisations that run at once, and evaluations: at least two, so that a slow one does not hold up the others, and no more than one per gigabyte of NIXERY_EVAL_MEMORY',
    ),
  NIXERY_EVALUATOR: oneOf('warm', 'cold')
    .default('warm')
    .describe('`warm` keeps a Nix process with the packages loaded, `cold` starts one for each evaluation'),
  NIXERY_EVAL_MEMORY: whole('a whole number of megabytes', 64, 1_000_000)
    .default(4096)
    .describe(
      'megabytes of memory that all processes that evaluate may take together, those kept with packages loaded included; each evaluation may take an equal share, which is half by default',
    ),
  NIXERY_EVAL: oneOf('restricted', 'open')
    .optional()
    .describe(
      'what evaluation may read: `restricted`, the package set, the Nix store, overlays and what NIX_PATH leads to; `open`, every file and variable that Nix gets. If not set, `open` for NIXERY_PKGS_PATH and restricted for all else; see security.md',
    ),
  NIXERY_NIX_ENV: list
    .default([])
    .describe(
      'names of environment variables that Nix and git get besides those they need, separated by spaces or commas; evaluation gets them, too',
    ),
}
