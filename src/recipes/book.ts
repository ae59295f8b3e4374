import { NixeryError } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import { recipes as builtIns, type Recipe } from '../image/recipes.ts'
import type { Platform } from '../image/platform.ts'
import type { SpecRoot } from '../image/spec.ts'
import type { PinnedSet } from '../packages/source.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { alternatives } from '../text/words.ts'

/** A recipe with its includes merged, and the store paths that it refers to. */
export type LoadedRecipe = { readonly recipe: Recipe; readonly roots: readonly SpecRoot[] }

/** For which package set and platform a recipe is wanted. */
export type RecipePlace = PartialDemand & {
  readonly pinned: PinnedSet
  readonly platform: Platform
  /** Is called before Nix is asked, and may refuse. */
  readonly enter?: (() => void) | undefined
  /** Evaluates what is remembered, too: Nix has removed what it refers to meanwhile. */
  readonly again?: boolean | undefined
}

/** Where recipes come from. */
export type RecipeBook = {
  /**
   * What the recipes of a request depend on besides the package set, as a text that changes with it. Undefined if that
   * is not known without a look, for callers that must not wait.
   */
  current(request: ImageRequest): string | undefined
  /** The same, with a look where one is due. */
  state(request: ImageRequest): Promise<string>
  /** Those of the packages of a request that are recipes, where recipes need no `recipe/` before them. */
  bareNames(request: ImageRequest, place: RecipePlace): Promise<readonly string[]>
  /** @throws RECIPE_UNKNOWN, RECIPE_INVALID, and what evaluating a package set throws */
  find(name: string, place: RecipePlace): Promise<LoadedRecipe>
}

// Names in a message.
const mostNames = 30

/** @param others names of the operator's recipes */
export function unknownRecipe(name: string, others: readonly string[]): NixeryError<'RECIPE_UNKNOWN'> {
  const known = [...others, ...Object.keys(builtIns)]
  return new NixeryError('RECIPE_UNKNOWN', `there is no recipe ${name}`, {
    hint: `recipes are ${alternatives(known.slice(0, mostNames))}`,
  })
}
