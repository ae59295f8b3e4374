import type { ImageRequest } from '../image/name.ts'
import { builtIn, isBuiltIn } from '../image/recipes.ts'
import { unknownRecipe, type RecipeBook, type RecipePlace } from './book.ts'
import { RecipeError } from './errors.ts'
import { locate, recipeOf, type FolderEntry, type FolderRecipes, type RecipeFolder } from './folder.ts'
import { withIncludes, type OwnRecipe } from './include.ts'

/** Recipes that a package set has, as its attribute `images`. */
export type SetRecipes = {
  /** Their names, sorted. */
  names(place: RecipePlace): Promise<readonly string[]>
  /** Undefined for one that the set does not have. @throws RECIPE_INVALID for one that does not evaluate, or is not valid */
  own(name: string, place: RecipePlace): Promise<OwnRecipe | undefined>
}

export type OperatorBookOptions = {
  readonly folder: RecipeFolder | undefined
  readonly set: SetRecipes | undefined
  /** Whether recipes need no `recipe/` before their names. */
  readonly bare: boolean
}

const nothing: FolderRecipes = { entries: new Map(), state: '' }

/** The book of the operator's recipes: those of a folder, those of the package set, and the built-in ones. */
export function createOperatorBook({ folder, set, bare }: OperatorBookOptions): RecipeBook {
  /** Whether the meaning of a request depends on the folder. */
  const dependsOn = ({ recipes, packages }: ImageRequest): boolean =>
    folder !== undefined && (recipes.some((name) => !isBuiltIn(name)) || (bare && packages.length > 0))

  const lookInFolder = async () => (folder ? folder.look() : nothing)

  const ownOf =
    (entries: FolderRecipes['entries'], place: RecipePlace) =>
    async (name: string, by: string | undefined): Promise<OwnRecipe> => {
      const recipe = builtIn(name)
      if (recipe) return { recipe, roots: [], include: [] }
      const entry = entries.get(name)
      const own = entry ? recipeOf(entry) : await set?.own(name, place)
      if (own) return own
      if (by !== undefined)
        throw new RecipeError(by, 'include', `there is no recipe ${name}: write it, or take it out`)
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
      try {
        return await withIncludes(name, ownOf(entries, place))
      } catch (error) {
        throw error instanceof RecipeError ? located(error, entries) : error
      }
    },
  }
}

/** The same failure with the place where it stands, for a recipe of the folder. */
function located(error: RecipeError, entries: ReadonlyMap<string, FolderEntry>): Error {
  const entry = entries.get(error.recipe)
  return (entry && locate(error, entry)) ?? error
}
