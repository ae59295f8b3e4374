import { NixeryError } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import { recipePrefix, type NamedRecipe, type Recipe } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import type { Resolution } from '../packages/resolution.ts'
import type { PinnedSet } from '../packages/source.ts'
import { isPackage } from '../packages/wanted.ts'
import type { PartialDemand } from '../queue/demand.ts'
import type { LoadedRecipe, RecipeBook, RecipePlace } from '../recipes/book.ts'
import { recipeError } from '../recipes/errors.ts'
import { listed } from '../text/words.ts'

/** The recipes that a request names, and the request with those that it names without `recipe/`. */
export async function findRecipes(
  recipes: Pick<RecipeBook, 'find' | 'bareNames'>,
  asked: ImageRequest,
  pinned: PinnedSet,
  { signal, urgency, enter }: PartialDemand & Pick<RecipePlace, 'enter'>,
) {
  const { platform } = asked
  const place = { pinned, platform, enter, ...(signal && { signal }), ...(urgency && { urgency }) }
  const bare = await recipes.bareNames(asked, place)
  const request = {
    ...asked,
    recipes: [...new Set([...asked.recipes, ...bare])].sort(byText),
    packages: asked.packages.filter((name) => !bare.includes(name)),
  }
  const found = await Promise.all(
    request.recipes.map(async (name) => [name, await recipes.find(name, place)] as const),
  )
  for (const [name, { recipe }] of found) refusePlatform(name, recipe, platform)
  const named: NamedRecipe[] = found.map(([name, { recipe }]) => ({ name, recipe }))
  return { request, found: named, loaded: new Map(found) }
}

/**
 * All packages that each recipe of a request may bring, by the recipe's name, without evaluating any of them.
 * @throws what finding the recipes does
 */
export async function packagesOfRecipes(
  recipes: Pick<RecipeBook, 'find' | 'bareNames'>,
  asked: ImageRequest,
  pinned: PinnedSet,
  place: Pick<RecipePlace, 'enter'>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { platform } = asked
  const bare = await recipes.bareNames(asked, { pinned, platform, ...place })
  const names = [...new Set([...asked.recipes, ...bare])]
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
 * Refuses recipes that are named without `recipe/` and like packages: neither may take the other's place unseen.
 * @throws RECIPE_INVALID
 */
export async function refuseClash(
  bare: readonly NamedRecipe[],
  lookUp: (names: readonly string[]) => Promise<ReadonlyMap<string, Resolution>>,
): Promise<void> {
  if (bare.length === 0) return
  const found = await lookUp(bare.map(({ name }) => name))
  for (const { name } of bare) {
    if (!isPackage(found.get(name))) continue
    const reason = `the package set has a package of this name: rename the recipe, or pull ${recipePrefix}/${name}`
    throw recipeError(name, undefined, reason)
  }
}

/** @throws PACKAGE_DENIED, so that an index leaves the platform out */
function refusePlatform(name: string, { platforms }: Recipe, { architecture }: Platform): void {
  if (!platforms || platforms.includes(architecture)) return
  throw new NixeryError('PACKAGE_DENIED', `the recipe ${name} is for ${listed(platforms)} only`)
}

/** A recipe that was found. */
export function recipeIn(loaded: ReadonlyMap<string, LoadedRecipe>, name: string): Recipe {
  const found = loaded.get(name)
  if (!found) throw new Error(`the recipe ${name} was not looked up`)
  return found.recipe
}
