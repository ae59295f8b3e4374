import { NixeryError } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import type { NamedRecipe, Recipe } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import type { Resolution } from '../packages/resolution.ts'
import type { PinnedSet } from '../packages/source.ts'
import { isPackage } from '../packages/image-packages.ts'
import type { PartialDemand } from '../queue/demand.ts'
import type { LoadedRecipe, RecipeBook, RecipePlace } from '../recipes/book.ts'
import { compose, inOrder } from '../recipes/compose.ts'
import { recipeError } from '../recipes/errors.ts'
import { clashReason } from '../recipes/report-loads.ts'
import { listed } from '../text/words.ts'

/** Finds the recipes of a request, including those named without `recipe/`, which become recipes of the request. */
export async function findRecipes(
  recipes: Pick<RecipeBook, 'find' | 'bareNames'>,
  named: ImageRequest,
  pinned: PinnedSet,
  { signal, urgency, enter, again }: PartialDemand & Pick<RecipePlace, 'enter' | 'again'>,
) {
  const { platform } = named
  const place = { pinned, platform, enter, again, ...(signal && { signal }), ...(urgency && { urgency }) }
  const bare = await recipes.bareNames(named, place)
  const request = {
    ...named,
    recipes: [...new Set([...named.recipes, ...bare])].sort(byText),
    packages: named.packages.filter((name) => !bare.includes(name)),
  }
  const found = await Promise.all(
    request.recipes.map(async (name) => [name, await recipes.find(name, place)] as const),
  )
  const inRequest: NamedRecipe[] = []
  for (const [name, { recipe }] of found) {
    refusePlatform(name, recipe, platform)
    inRequest.push({ name, recipe })
  }
  return { request, found: inRequest, loaded: new Map(found) }
}

/**
 * The packages that each recipe of a request may add, by the name of the recipe, without evaluating them.
 * @throws like `find` of the recipe book
 */
export async function packagesOfRecipes(
  recipes: Pick<RecipeBook, 'find' | 'bareNames'>,
  named: ImageRequest,
  pinned: PinnedSet,
  place: Pick<RecipePlace, 'enter'>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { platform } = named
  const bare = await recipes.bareNames(named, { pinned, platform, ...place })
  const names = [...new Set([...named.recipes, ...bare])]
  return new Map(
    await Promise.all(
      names.map(async (name) => {
        const { recipe } = await recipes.find(name, { pinned, platform, ...place })
        return [name, [...recipe.packages, ...(recipe.optional ?? [])].flat()] as const
      }),
    ),
  )
}

/**
 * Refuses recipes named without `recipe/` that have the name of a package: neither may hide the other.
 * @throws RECIPE_INVALID
 */
export async function refuseClash(
  bare: readonly NamedRecipe[],
  lookUp: (names: readonly string[]) => Promise<ReadonlyMap<string, Resolution>>,
): Promise<void> {
  const found = await lookUp(bare.map(({ name }) => name))
  for (const { name } of bare) {
    if (!isPackage(found.get(name))) continue
    throw recipeError(name, undefined, clashReason(name))
  }
}

/** @throws PACKAGE_DENIED, so that an index leaves the platform out */
function refusePlatform(name: string, { platforms }: Recipe, { architecture }: Platform): void {
  if (!platforms || platforms.includes(architecture)) return
  throw new NixeryError('PACKAGE_DENIED', `the recipe ${name} is for ${listed(platforms)} only`)
}

/** A recipe of the request. */
export function recipeIn(loaded: ReadonlyMap<string, LoadedRecipe>, name: string): Recipe {
  const found = loaded.get(name)
  if (!found) throw new Error(`the recipe ${name} was not looked up`)
  return found.recipe
}

/** The names of the recipes of an image, and of the one that names its base, for messages. */
export type NamesOfRecipes = { readonly recipes: readonly string[]; readonly baseOf: string }

/** All recipes of an image as one, and the store paths that they refer to. */
export type TogetherRecipes = {
  readonly recipe: Recipe
  readonly roots: LoadedRecipe['roots']
  readonly named: NamesOfRecipes
}

export function togetherOf(
  recipes: readonly NamedRecipe[],
  loaded: ReadonlyMap<string, LoadedRecipe>,
): TogetherRecipes {
  const ordered = inOrder(recipes)
  const [only] = ordered
  const baseOf = ordered.findLast(({ recipe }) => recipe.base !== undefined)?.name ?? ''
  return {
    // Each recipe by itself is merged already.
    recipe: only && ordered.length === 1 ? only.recipe : compose(ordered),
    roots: recipes.flatMap(({ name }) => loaded.get(name)?.roots ?? []),
    named: { recipes: ordered.map(({ name }) => name), baseOf },
  }
}
