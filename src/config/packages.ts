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

/** Where packages come from, and which of them may be in images. */
export const packageSettings = {
  NIXERY_CHANNEL: matching(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'the name of a channel, branch, tag or commit')
    .optional()
    .describe('packages: a channel, branch, tag or commit of nixpkgs, such as `nixos-unstable`'),
  NIXERY_CHANNEL_URL: matching(/^https?:\/\/.*\{channel\}/, 'an http address with {channel} in it')
    .default('https://github.com/NixOS/nixpkgs/archive/{channel}.tar.gz')
    .describe('address of a channel’s tarball; `{channel}` stands for its name'),
  NIXERY_CHANNEL_TAGS: pattern.optional().describe('regular expression of tags that name another channel'),
  NIXERY_CHANNEL_COMMITS: oneOf('on', 'off')
    .default('off')
    .describe('whether a tag may be a full commit that refs of NIXERY_CHANNEL_REPO reach'),
  NIXERY_CHANNEL_REPO: text
    .default('https://github.com/NixOS/nixpkgs')
    .describe(
      'address of the channel’s git repository, of which a copy of all commits is kept if they are on',
    ),
  NIXERY_REFS: refPatterns
    .prefault('refs/heads/* refs/tags/*')
    .describe(
      'refs of a git repository, a flake or a channel’s repository that count, with `*` for anything: tags name these, and only commits that these reach are evaluated',
    ),
  NIXERY_PKGS_REPO: text
    .optional()
    .describe(
      'packages: address of a git repository; an image’s tag is a branch, tag or commit of NIXERY_REFS, `latest` its HEAD',
    ),
  NIXERY_PKGS_PATH: folder
    .optional()
    .describe('packages: a folder whose default.nix is a function from { system, ... } to an attribute set'),
  NIXERY_PATH_STALE: whole('a whole number of seconds', 0, 24 * 3600)
    .default(30)
    .describe(
      'seconds for which images that were pulled before are served without waiting for a look at `NIXERY_PKGS_PATH`; with 0, every pull looks first',
    ),
  NIXERY_FLAKE: text
    .optional()
    .describe(
      'packages: a flake; an image’s tag, if not `latest`, is a branch, tag or commit of NIXERY_REFS in its git repository',
    ),
  NIXERY_TAGS: oneOf('latest', 'any')
    .default('latest')
    .describe(
      'tags that mean nothing to the packages: unknown but for `latest`, or `any`, ignored, as in the original',
    ),
  NIXERY_PIN_TTL: seconds
    .default(3600)
    .describe('seconds for which a channel, branch or tag keeps its meaning'),
  NIXERY_FETCH_TIMEOUT: seconds
    .default(1800)
    .describe('seconds that fetching packages, or their repository, may take'),
  NIXERY_MAX_FETCHES: whole('a number of fetches', 1, 64)
    .default(2)
    .describe('fetches for tags other than `latest` that run at once; 32 more may wait'),
  NIXERY_SOURCE_KEEP: whole('a whole number of days', 1, 10_000)
    .default(14)
    .describe('days for which fetched packages are kept in the Nix store after their last use'),
  NIXERY_MIRROR_LIMIT: size
    .prefault('20GB')
    .describe('size of a git repository, with its history, above which it is not fetched'),
  NIXERY_ALLOW_UNFREE: flag.default(false).describe('whether nixpkgs gives packages with an unfree licence'),
  NIXERY_ALLOW_BROKEN: flag
    .default(false)
    .describe('whether nixpkgs gives packages that are marked as broken'),
  NIXERY_NIXPKGS_CONFIG: folder
    .optional()
    .describe(
      'file with a configuration of nixpkgs, in Nix: `permittedInsecurePackages`, predicates, …; NIXERY_ALLOW_UNFREE and NIXERY_ALLOW_BROKEN win over it',
    ),
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
