import { BaseProblem } from '../bases/errors.ts'
import { hasCode, NixeryError } from '../errors.ts'
import type { BaseImage } from '../image/base.ts'
import type { Platform } from '../image/platform.ts'
import { RecipeError } from '../recipes/errors.ts'
import type { Bases, FindBaseOptions } from './bases.ts'
import type { NamesOfRecipes } from './find-recipes.ts'

/**
 * Finds the base of a recipe.
 * @param recipe the recipe that names it
 * @throws RECIPE_INVALID, REGISTRY_UNAVAILABLE; PACKAGE_DENIED for a base without this platform, so that an index omits
 * the platform. All errors name the recipe and the field
 */
export async function findBase(
  bases: Pick<Bases, 'find'>,
  recipe: string,
  reference: string,
  platform: Platform,
  { signal, urgency, enter, readyOnly }: FindBaseOptions,
): Promise<BaseImage> {
  try {
    return await bases.find(reference, platform, { signal, urgency, enter, readyOnly })
  } catch (error) {
    throw ofBase(error, recipe, reference)
  }
}

/** Converts a failure of a base to one of the recipe's field `base`; leaves others unchanged. */
function ofBase(error: unknown, recipe: string, reference: string): unknown {
  if (!(error instanceof BaseProblem)) return error
  const reason = `${reference}: ${error.message}`
  const whole = `recipe ${recipe}: base: ${reason}`
  if (error.passing) return new NixeryError('REGISTRY_UNAVAILABLE', whole, { cause: error })
  if (error.ofPlatform) return new NixeryError('PACKAGE_DENIED', whole, { cause: error })
  return new RecipeError(recipe, 'base', reason)
}

/** Adds the names of the recipes to a failure of a build, if a recipe caused it and it does not name one. */
export function ofRecipes(
  error: unknown,
  { recipes, baseOf }: NamesOfRecipes,
  base: BaseImage | undefined,
): unknown {
  if (error instanceof BaseProblem) return ofBase(error, baseOf, base?.reference ?? '')
  if (!hasCode(error, 'RECIPE_INVALID') || error instanceof RecipeError) return error
  return new NixeryError('RECIPE_INVALID', `recipe ${recipes.join(', ')}: ${error.message}`, { cause: error })
}
