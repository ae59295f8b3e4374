import type { ImageConfig } from './oci.ts'

/** A name in the package set, or several names, the first of which that exists is used. */
export type PackageChoice = string | readonly [string, ...string[]]

/** What a leading word of an image name adds to the image. */
export type Recipe = {
  /** Required packages. */
  readonly packages: readonly PackageChoice[]
  /** Packages that are omitted with a warning if the set does not have them. */
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
  // libstdc++ and, in nixpkgs, libgcc; the other names are for sets without stdenv.
  packages: [['stdenv.cc.cc.lib', 'gcc-unwrapped.lib', 'gcc.cc.lib'], 'zlib'],
  optional: ['libgcc', 'nix-ld'],
  config: {},
} as const satisfies Recipe

/**
 * The built-in recipes, by name. `shell` is the original's, with bash as the default command. It is kept unchanged, so that
 * images with `shell` rarely change.
 */
export const recipes = {
  shell,
  /** What CI systems, `kubectl cp` and their scripts expect. */
  ci,
  /** What programs from other distributions need. */
  compat,
  /** What the devcontainer CLI and editor servers need: getent for users, and ldd for the version of libc. */
  devcontainer: {
    packages: [...ci.packages, ...compat.packages, ['getent', 'glibc.getent', 'glibc.bin']],
    optional: [...compat.optional, 'glibc.bin'],
    config: ci.config,
  },
} as const satisfies Readonly<Record<string, Recipe>>

export type RecipeName = keyof typeof recipes

export const isRecipeName = (word: string): word is RecipeName => Object.hasOwn(recipes, word)

/** Prefix for a recipe's name, so that it means the recipe even if the package set has a package of that name. */
export const recipePrefix = 'recipe'

/** The only recipe whose name never means a package, as in the original. */
export const reservedRecipe = 'shell' satisfies RecipeName

/** The config fields that several recipes set. If two set the same field, the later one wins. */
export const configOf = (names: readonly RecipeName[]): Partial<ImageConfig> =>
  Object.assign({}, ...names.map((name) => recipes[name].config)) as Partial<ImageConfig>
