import { flag, folder, list, matching, oneOf, pattern, seconds, text, whole } from './values.ts'

/** Where packages come from, and which of them may be in images. */
export const packageSettings = {
  NIXERY_CHANNEL: matching(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'the name of a channel, branch, tag or commit')
    .optional()
    .describe('packages: a channel, branch, tag or commit of nixpkgs, such as `nixos-unstable`'),
  NIXERY_CHANNEL_URL: matching(/^https?:\/\/.*\{channel\}/, 'an http address with {channel} in it')
    .default('https://github.com/NixOS/nixpkgs/archive/{channel}.tar.gz')
    .describe('address of a channel’s tarball; `{channel}` stands for its name'),
  NIXERY_CHANNEL_TAGS: pattern
    .optional()
    .describe('regular expression of tags that name another channel; full commits always may'),
  NIXERY_PKGS_REPO: text
    .optional()
    .describe(
      'packages: address of a git repository; an image’s tag is a branch, tag or commit, `latest` its HEAD',
    ),
  NIXERY_PKGS_PATH: folder
    .optional()
    .describe('packages: a folder whose default.nix is a function from { system, ... } to an attribute set'),
  NIXERY_PATH_STALE: whole('a whole number of seconds', 0, 24 * 3600)
    .default(30)
    .describe(
      'seconds for which images that were pulled before are served without waiting for a look at `NIXERY_PKGS_PATH`; with 0, every pull looks first',
    ),
  NIXERY_FLAKE: text.optional().describe('packages: a flake; an image’s tag, if not `latest`, is its ref'),
  NIXERY_TAGS: oneOf('latest', 'any')
    .default('latest')
    .describe(
      'tags that mean nothing to the packages: unknown but for `latest`, or `any`, ignored, as in the original',
    ),
  NIXERY_PIN_TTL: seconds
    .default(3600)
    .describe('seconds for which a channel, branch or tag keeps its meaning'),
  NIXERY_ALLOW_UNFREE: flag.default(false).describe('whether nixpkgs gives packages with an unfree licence'),
  NIXERY_ALLOW_BROKEN: flag
    .default(false)
    .describe('whether nixpkgs gives packages that are marked as broken'),
  NIXERY_OVERLAYS: list
    .default([])
    .describe('files with overlays for nixpkgs, separated by spaces or commas'),
  NIXERY_ALLOW: list
    .default([])
    .describe(
      'packages that may be in images, by attribute path, with `*` for anything; all if not set. A boundary: nothing else is served ([security](security.md))',
    ),
  NIXERY_DENY: list
    .default([])
    .describe(
      'packages, or sets of packages, that may not be in images, by attribute path, with `*` for anything. Not a boundary: what is not listed is served ([security](security.md))',
    ),
}
