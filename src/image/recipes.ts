import type { ImageConfig } from './oci.ts'

/** A name in the package set; or several, of which the first that the set has is taken. */
export type PackageChoice = string | readonly [string, ...string[]]

/** What a word at the beginning of an image name adds to the image. */
export type Recipe = {
  /** Without one of these there is no image. */
  readonly packages: readonly PackageChoice[]
  /** Those that the set does not have are left out, with a warning. */
  readonly optional?: readonly PackageChoice[]
  /** Fields of the image's config. */
  readonly config: Partial<ImageConfig>
}

const shell = {
  packages: ['bashInteractive', 'coreutils', 'moreutils', 'nano'],
  config: { cmd: ['bash'] },
} as const satisfies Recipe

const ci = {
  packages: [
    ...shell.packages,
    'gnutar',
    'gzip',
    'findutils',
    'gnugrep',
    'gnused',
    'gawk',
    'diffutils',
    'procps',
    'util-linux',
    'which',
    'less',
    'git',
    'openssh',
    'curl',
    'jq',
  ],
  config: shell.config,
} as const satisfies Recipe

const compat = {
  // libstdc++, and in nixpkgs libgcc, too; the other names are for sets that have no stdenv.
  packages: [['stdenv.cc.cc.lib', 'gcc-unwrapped.lib', 'gcc.cc.lib'], 'zlib'],
  optional: ['libgcc', 'nix-ld'],
  config: {},
} as const satisfies Recipe

/**
 * The built-in recipes, by name. `shell` is the original's, with bash as the default command; it stays as it is, so that
 * images of `shell` have few reasons to change.
 */
export const recipes = {
  shell,
  /** What CI systems, `kubectl cp` and their scripts take for granted. */
  ci,
  /** What programs that were built elsewhere need. */
  compat,
  /** What the devcontainer CLI and the servers of editors ask for: getent for users, and ldd for the version of libc. */
  devcontainer: {
    packages: [...ci.packages, ...compat.packages, ['getent', 'glibc.getent', 'glibc.bin']],
    optional: [...compat.optional, 'glibc.bin'],
    config: ci.config,
  },
} as const satisfies Readonly<Record<string, Recipe>>

export type RecipeName = keyof typeof recipes

export const isRecipeName = (word: string): word is RecipeName => Object.hasOwn(recipes, word)

/** Stands before the name of a recipe that is meant whatever the package set has. */
export const recipePrefix = 'recipe'

/** The one recipe that is meant by its name alone, whatever the package set has: as in the original. */
export const reservedRecipe = 'shell' satisfies RecipeName

/** What several recipes set in the config. Where two set the same field, the later one wins. */
export const configOf = (names: readonly RecipeName[]): Partial<ImageConfig> =>
  Object.assign({}, ...names.map((name) => recipes[name].config)) as Partial<ImageConfig>
