import { list, oneOf, seconds, whole } from './values.ts'

/** How Nix is used, and its limits. */
export const nixSettings = {
  NIX_TIMEOUT: seconds.default(60).describe('timeout for one builder of Nix, in seconds'),
  NIXERY_BUILD_TIMEOUT: seconds
    .default(3600)
    .describe('timeout for realising all packages of an image, in seconds'),
  NIXERY_EVAL_TIMEOUT: seconds
    .default(120)
    .describe(
      'timeout for one evaluation, in seconds; twice as long if the `meta` of a package takes too much time or memory, because the package is then looked up without it',
    ),
  NIXERY_NIX_JOBS: whole('a number of processes', 1, 64)
    .default(2)
    .describe(
      'maximum number of concurrent realisations, and of concurrent evaluations: at least two evaluations, so that a slow one does not block the others, and at most one per gigabyte of NIXERY_EVAL_MEMORY',
    ),
  NIXERY_EVALUATOR: oneOf('warm', 'cold')
    .default('warm')
    .describe(
      '`warm` keeps a Nix process with the package set loaded, `cold` starts a process for each evaluation',
    ),
  NIXERY_EVAL_MEMORY: whole('a whole number of megabytes', 64, 1_000_000)
    .default(4096)
    .describe(
      'megabytes of memory for all evaluating processes together, including idle ones; each evaluation may use an equal share, by default half',
    ),
  NIXERY_EVAL: oneOf('restricted', 'open')
    .optional()
    .describe(
      'what evaluation may read: `restricted`: the package set, the Nix store, overlays and the entries of NIX_PATH; `open`: every file and variable that Nix can read. Default: `open` for NIXERY_PKGS_PATH, otherwise `restricted`; see security.md',
    ),
  NIXERY_NIX_ENV: list
    .default([])
    .describe(
      'names of further environment variables to pass to Nix and git, also during evaluation, separated by spaces or commas',
    ),
}
