import type { NamedRecipe } from '../image/recipes.ts'
import type { LoadedRecipe } from './book.ts'
import { compose } from './compose.ts'
import { recipeError } from './errors.ts'
import { checkWhole } from './whole.ts'

/** A recipe in normal form, and the names of the recipes that it includes, in order. */
export type OwnRecipe = LoadedRecipe & { readonly include: readonly string[] }

// The maximum nesting of includes.
const deepest = 8

/**
 * Merges a recipe with everything that it includes.
 * @param own returns a recipe by name; fails if it does not exist or is not valid
 * @throws RECIPE_INVALID for cycles, too deep nesting, or conflicts; what `own` throws
 */
export async function withIncludes(
  name: string,
  own: (name: string, by: string | undefined) => Promise<OwnRecipe>,
): Promise<LoadedRecipe> {
  const seen = new Map<string, Promise<OwnRecipe>>()
  const parts: NamedRecipe[] = []
  const added = new Set<string>()
  const roots: LoadedRecipe['roots'][number][] = []
  const add = async (each: string, trail: readonly string[]): Promise<void> => {
    const path = [...trail, each]
    if (trail.includes(each)) {
      throw recipeError(name, 'include', `${path.join(' → ')} is a cycle: remove one of these includes`)
    }
    if (path.length > deepest + 1) {
      throw recipeError(
        name,
        'include',
        `${path.join(' → ')} is too deep: includes can be nested over at most ${deepest} steps`,
      )
    }
    const found = await (seen.get(each) ?? seen.set(each, own(each, trail.at(-1))).get(each))
    if (!found) throw new Error('a recipe that was not looked up')
    for (const included of found.include) await add(included, path)
    // A recipe that is included twice counts at its first position.
    if (added.has(each)) return
    added.add(each)
    parts.push({ name: each, recipe: found.recipe })
    roots.push(...found.roots)
  }
  await add(name, [])
  const recipe = compose(parts)
  checkWhole(name, recipe)
  return { recipe, roots }
}
