import { isNixeryError } from '../errors.ts'
import { builtIn } from '../image/recipes.ts'
import { RecipeError } from './errors.ts'
import { locate, recipeOf, type FolderEntry } from './folder.ts'
import { withIncludes, type OwnRecipe } from './include.ts'
import { formatProblem } from './parse.ts'

/** The result of checking one recipe of a folder. */
export type CheckedRecipe = {
  readonly name: string
  readonly file: string
  /** Each with file, line and column. */
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
  /** Its base, and its platforms, if specified. */
  readonly base?: string | undefined
  readonly platforms?: readonly string[] | undefined
}

/** Checks all recipes of a folder, each with what it includes. */
export async function checkRecipes(entries: ReadonlyMap<string, FolderEntry>): Promise<CheckedRecipe[]> {
  return Promise.all(Array.from(entries, ([name, entry]) => checkOne(name, entry, entries)))
}

async function checkOne(
  name: string,
  entry: FolderEntry,
  entries: ReadonlyMap<string, FolderEntry>,
): Promise<CheckedRecipe> {
  const { file } = entry
  if ('problems' in entry) return { name, file, problems: entry.problems.map(formatProblem), warnings: [] }
  try {
    const { recipe } = await withIncludes(name, (each, by) => ownIn(entries, each, by))
    const secret = Object.keys(recipe.env ?? {}).find((variable) => secrets.test(variable))
    const warning = `${file}: recipe ${name}: everyone who can pull the image can read its variable ${secret}`
    const { base, platforms } = recipe
    const warnings = secret === undefined ? [] : [warning]
    return { name, file, problems: [], warnings, ...(base !== undefined && { base, platforms }) }
  } catch (error) {
    if (!isNixeryError(error)) throw error
    return { name, file, problems: [locatedError(error, entries).message], warnings: [] }
  }
}

const secrets = /(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|APIKEY|API_KEY|PRIVATE_KEY)$/i

/** A recipe of a folder by name, or a built-in one. @throws RECIPE_INVALID */
export async function ownIn(
  entries: ReadonlyMap<string, FolderEntry>,
  name: string,
  by: string | undefined,
): Promise<OwnRecipe> {
  const recipe = builtIn(name)
  if (recipe) return { recipe, roots: [], include: [] }
  const entry = entries.get(name)
  if (entry) return recipeOf(entry)
  throw notIncluded(name, by ?? name)
}

export const notIncluded = (name: string, by: string): RecipeError =>
  new RecipeError(
    by,
    'include',
    `there is no recipe ${name} in the same folder: create it, or remove the include`,
  )

/** The same failure with its position. */
export function locatedError(error: Error, entries: ReadonlyMap<string, FolderEntry>): Error {
  const entry = error instanceof RecipeError ? entries.get(error.recipe) : undefined
  return (error instanceof RecipeError && entry && locate(error, entry)) || error
}
