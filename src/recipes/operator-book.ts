import type { ImageRequest } from '../image/name.ts'
import { builtIn, isBuiltIn } from '../image/recipes.ts'
import { unknownRecipe, type RecipeBook, type RecipePlace } from './book.ts'
import { locatedError, notIncluded, ownIn } from './check.ts'
import { noRecipes, type RecipeFolder } from './folder.ts'
import { withIncludes, type OwnRecipe } from './include.ts'

/** The recipes of a package set, from its attribute `images`. */
export type SetRecipes = {
  /** Their names, sorted. */
  names(place: RecipePlace): Promise<readonly string[]>
  /** Undefined if the set does not have the recipe. @throws RECIPE_INVALID if it does not evaluate, or is not valid */
  own(name: string, place: RecipePlace): Promise<OwnRecipe | undefined>
}

export type OperatorBookOptions = {
  readonly folder: RecipeFolder | undefined
  readonly set: SetRecipes | undefined
  /** Whether recipes need no `recipe/` prefix. */
  readonly bare: boolean
}

/** The book of the operator's recipes: those of a folder, those of the package set, and the built-in ones. */
export function createOperatorBook({ folder, set, bare }: OperatorBookOptions): RecipeBook {
  /** Whether the meaning of a request depends on the folder. */
  const dependsOn = ({ recipes, packages }: ImageRequest): boolean =>
    folder !== undefined && (recipes.some((name) => !isBuiltIn(name)) || (bare && packages.length > 0))

  const lookInFolder = async () => (folder ? folder.look() : noRecipes)

  /** A recipe of the package set, which can include others of the set and built-in ones. */
  const ownInSet = async (name: string, by: string | undefined, place: RecipePlace): Promise<OwnRecipe> => {
    const recipe = builtIn(name)
    if (recipe) return { recipe, roots: [], include: [] }
    const own = await set?.own(name, place)
    if (own) return own
    if (by !== undefined) throw notIncluded(name, by)
    const { entries } = await lookInFolder()
    throw unknownRecipe(name, [...entries.keys(), ...((await set?.names(place)) ?? [])])
  }

  return {
    current: (request) => (dependsOn(request) ? folder?.current()?.state : ''),
    state: async (request) => (dependsOn(request) ? (await lookInFolder()).state : ''),
    async bareNames({ packages }, place) {
      if (!bare) return []
      const { entries } = await lookInFolder()
      const names = new Set([...entries.keys(), ...((await set?.names(place)) ?? [])])
      return packages.filter((name) => names.has(name))
    },
    async find(name, place) {
      const { entries } = await lookInFolder()
      // The folder belongs to the operator, and takes precedence over the package set.
      if (!entries.has(name)) {
        const recipe = builtIn(name)
        if (recipe) return { recipe, roots: [] }
        return withIncludes(name, (each, by) => ownInSet(each, by, place))
      }
      try {
        return await withIncludes(name, (each, by) => ownIn(entries, each, by))
      } catch (error) {
        throw error instanceof Error ? locatedError(error, entries) : error
      }
    },
  }
}
