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

/** The package set and platform for which a recipe is requested. */
export type RecipePlace = PartialDemand & {
  readonly pinned: PinnedSet
  readonly platform: Platform
  /** Called before Nix evaluates; may refuse by throwing. */
  readonly enter?: (() => void) | undefined
  /** Evaluates cached recipes again, because Nix does not have what they refer to. */
  readonly again?: boolean | undefined
}

/** A source of recipes. */
export type RecipeBook = {
  /**
   * A text that changes whenever the recipes of a request may change for other reasons than the package set. Undefined
   * if the files must be checked first, for callers that must not wait.
   */
  current(request: ImageRequest): string | undefined
  /** The same, but checks the files if necessary. */
  state(request: ImageRequest): Promise<string>
  /** The packages of a request that are recipes, if recipes need no `recipe/` prefix. */
  bareNames(request: ImageRequest, place: RecipePlace): Promise<readonly string[]>
  /** @throws RECIPE_UNKNOWN, RECIPE_INVALID, and what evaluating a package set throws */
  find(name: string, place: RecipePlace): Promise<LoadedRecipe>
}

// The maximum number of names in a message.
const mostNames = 30

/** @param others names of the operator's recipes */
export function unknownRecipe(name: string, others: readonly string[]): NixeryError<'RECIPE_UNKNOWN'> {
  const known = [...others, ...Object.keys(builtIns)]
  return new NixeryError('RECIPE_UNKNOWN', `there is no recipe ${name}`, {
    hint: `recipes are ${alternatives(known.slice(0, mostNames))}`,
  })
}
