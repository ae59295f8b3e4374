import {
  flag,
  folder,
  list,
  matching,
  oneOf,
  pattern,
  refPatterns,
  seconds,
  size,
  text,
  whole,
} from './values.ts'

/** The sources of packages, and which packages are allowed. */
export const packageSettings = {
  NIXERY_CHANNEL: matching(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'the name of a channel, branch, tag or commit')
    .optional()
    .describe('package set: a channel, branch, tag or commit of nixpkgs, such as `nixos-unstable`'),
  NIXERY_CHANNEL_URL: matching(/^https?:\/\/.*\{channel\}/, 'an http URL with {channel} in it')
    .default('https://github.com/NixOS/nixpkgs/archive/{channel}.tar.gz')
    .describe('URL of a channel’s tarball; `{channel}` stands for its name'),
  NIXERY_CHANNEL_TAGS: pattern
    .optional()
    .describe('regular expression for image tags that name another channel'),
  NIXERY_CHANNEL_COMMITS: oneOf('on', 'off')
    .default('off')
    .describe(
      'whether an image tag may be a full commit id that is reachable from the refs of NIXERY_CHANNEL_REPO',
    ),
  NIXERY_CHANNEL_REPO: text
    .default('https://github.com/NixOS/nixpkgs')
    .describe(
      'URL of the channel’s git repository; with NIXERY_CHANNEL_COMMITS=on, the server keeps a copy of its commit history',
    ),
  NIXERY_REFS: refPatterns
    .prefault('refs/heads/* refs/tags/*')
    .describe(
      'allowed refs of the git, flake or channel repository, with `*` as wildcard: image tags can name these refs, and only commits that they reach are evaluated',
    ),
  NIXERY_PKGS_REPO: text
    .optional()
    .describe(
      'package set: URL of a git repository; an image tag is a branch, tag or commit that NIXERY_REFS allows, `latest` is HEAD',
    ),
  NIXERY_PKGS_PATH: folder
    .optional()
    .describe(
      'package set: a folder whose default.nix is a function from { system, ... } to an attribute set',
    ),
  NIXERY_PATH_STALE: whole('a whole number of seconds', 0, 24 * 3600)
    .default(30)
    .describe(
      'seconds for which known images are served without first checking `NIXERY_PKGS_PATH` for changes; 0 checks before every pull',
    ),
  NIXERY_FLAKE: text
    .optional()
    .describe(
      'package set: a flake; an image tag other than `latest` is a branch, tag or commit of its git repository that NIXERY_REFS allows',
    ),
  NIXERY_TAGS: oneOf('latest', 'any')
    .default('latest')
    .describe(
      'image tags for package sets without tags: `latest` accepts only that tag, `any` accepts and ignores all tags, like the original',
    ),
  NIXERY_PIN_TTL: seconds
    .default(3600)
    .describe('seconds for which the revision of a channel, branch or tag is cached'),
  NIXERY_FETCH_TIMEOUT: seconds
    .default(1800)
    .describe('timeout for fetching a package set or its repository, or a layer of a base image, in seconds'),
  NIXERY_MAX_FETCHES: whole('a number of fetches', 1, 64)
    .default(2)
    .describe('maximum number of concurrent fetches for tags other than `latest`; 32 more may wait'),
  NIXERY_SOURCE_KEEP: whole('a whole number of days', 1, 10_000)
    .default(14)
    .describe('days for which a fetched package set is kept in the Nix store after its last use'),
  NIXERY_MIRROR_LIMIT: size.prefault('20GB').describe('maximum size of a git repository with its history'),
  NIXERY_ALLOW_UNFREE: flag.default(false).describe('whether packages with an unfree licence are allowed'),
  NIXERY_ALLOW_BROKEN: flag.default(false).describe('whether packages marked as broken are allowed'),
  NIXERY_NIXPKGS_CONFIG: folder
    .optional()
    .describe(
      'Nix file with the nixpkgs configuration: `permittedInsecurePackages`, predicates, …; NIXERY_ALLOW_UNFREE and NIXERY_ALLOW_BROKEN take precedence',
    ),
  NIXERY_OVERLAYS: list
    .default([])
    .describe('files with overlays for nixpkgs, separated by spaces or commas'),
  NIXERY_ALLOW: list
    .default([])
    .describe(
      'attribute paths of the packages that are allowed in images, with `*` as wildcard; all if not set. A security boundary: nothing else is served ([security](security.md))',
    ),
  NIXERY_DENY: list
    .default([])
    .describe(
      'attribute paths of packages or package sets that are not allowed in images, with `*` as wildcard. Not a security boundary: everything else is served ([security](security.md))',
    ),
}
