import type { NamedRecipe } from '../image/recipes.ts'
import type { LoadedRecipe } from './book.ts'
import { compose } from './compose.ts'
import { recipeError } from './errors.ts'
import { checkWhole } from './whole.ts'

/** A recipe in its normal form, and the names of those that it includes, in order. */
export type OwnRecipe = LoadedRecipe & { readonly include: readonly string[] }

// How deep includes may be nested.
const deepest = 8

/**
 * A recipe with all that it includes.
 * @param own gives each recipe by name; fails for one that does not exist or is not valid
 * @throws RECIPE_INVALID for a cycle or too deep a nesting, or what does not fit together; what `own` throws
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
      throw recipeError(name, 'include', `${path.join(' → ')} is a cycle: take one of these includes out`)
    }
    if (path.length > deepest + 1) {
      throw recipeError(
        name,
        'include',
        `${path.join(' → ')} is too deep: recipes include each other over at most ${deepest} steps`,
      )
    }
    const found = await (seen.get(each) ?? seen.set(each, own(each, trail.at(-1))).get(each))
    if (!found) throw new Error('a recipe that was not looked up')
    for (const included of found.include) await add(included, path)
    // One that is included twice counts where it came first.
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
