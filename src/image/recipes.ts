import type { ImageConfig } from './oci.ts'

/** What a word at the beginning of an image name adds to the image. */
export type Recipe = {
  /** Names in the package set. */
  readonly packages: readonly string[]
  /** Fields of the image's config. */
  readonly config: Partial<ImageConfig>
}

/** The built-in recipes, by name. `shell` is the original's, with bash as the default command. */
export const recipes = {
  shell: {
    packages: ['bashInteractive', 'coreutils', 'moreutils', 'nano'],
    config: { cmd: ['bash'] },
  },
} as const satisfies Readonly<Record<string, Recipe>>

export type RecipeName = keyof typeof recipes

export const isRecipeName = (word: string): word is RecipeName => Object.hasOwn(recipes, word)

/** What several recipes add together. Where two set the same field of the config, the later one wins. */
export function combineRecipes(names: readonly RecipeName[]): Recipe {
  const chosen: Recipe[] = names.map((name) => recipes[name])
  return {
    packages: chosen.flatMap(({ packages }) => packages),
    config: Object.assign({}, ...chosen.map(({ config }) => config)) as Partial<ImageConfig>,
  }
}
