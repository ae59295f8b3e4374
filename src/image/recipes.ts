import type { Account, ImageFile } from './contents.ts'
import type { ImageConfig } from './oci.ts'

/** A name in the package set, or several names, the first of which that exists is used. */
export type PackageChoice = string | readonly [string, ...string[]]

/**
 * A recipe in its normal form: what a word of an image name adds to the image, as plain data. Includes are merged, lists
 * whose order has no meaning are sorted, and fields that are not set are omitted.
 */
export type Recipe = Omit<ImageConfig, 'env'> & {
  /** The base image, pinned: `registry/name@sha256:…`. */
  readonly base?: string
  /** Required packages. */
  readonly packages: readonly PackageChoice[]
  /** Packages that are omitted with a warning if the set does not have them. */
  readonly optional?: readonly PackageChoice[]
  readonly env?: Readonly<Record<string, string>>
  /** Annotations of the manifest. */
  readonly annotations?: Readonly<Record<string, string>>
  readonly accounts?: readonly Account[]
  readonly files?: readonly ImageFile[]
  /** The platforms of the recipe, by their names in OCI; all if undefined. */
  readonly platforms?: readonly string[]
  readonly maxLayers?: number
  /** Whether the image has the database of Nix; by default, if it contains Nix. */
  readonly nixDatabase?: boolean
}

/** A recipe with its name, for messages. */
export type NamedRecipe = { readonly name: string; readonly recipe: Recipe }

const shell = {
  packages: ['bashInteractive', 'coreutils', 'moreutils', 'nano'],
  cmd: ['bash'],
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
  cmd: shell.cmd,
} as const satisfies Recipe

const compat = {
  // libstdc++ and, in nixpkgs, libgcc; the other names are for sets without stdenv.
  packages: [['stdenv.cc.cc.lib', 'gcc-unwrapped.lib', 'gcc.cc.lib'], 'zlib'],
  optional: ['libgcc', 'nix-ld'],
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
    cmd: ci.cmd,
  },
} as const satisfies Readonly<Record<string, Recipe>>

export type BuiltInRecipe = keyof typeof recipes

export const isBuiltIn = (word: string): word is BuiltInRecipe => Object.hasOwn(recipes, word)

/** A built-in recipe; undefined for any other name. */
export const builtIn = (name: string): Recipe | undefined => (isBuiltIn(name) ? recipes[name] : undefined)

/** Prefix for a recipe's name, so that it means the recipe even if the package set has a package of that name. */
export const recipePrefix = 'recipe'

/** The only recipe whose name never means a package, as in the original. */
export const reservedRecipe = 'shell' satisfies BuiltInRecipe

const recipeName = /^[a-z0-9]+(?:[_-]+[a-z0-9]+)*$/
const longestName = 64

/** Whether a text can be the name of a recipe. */
export const isRecipeName = (text: string): boolean => text.length <= longestName && recipeName.test(text)

/** The rule for names of recipes, for error messages. */
export const recipeNameRule = `the name of a recipe has lower-case letters and digits, with "-" or "_" between them, and at most ${longestName} characters`
