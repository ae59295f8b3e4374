import { platforms } from '../image/platform.ts'
import { isBuiltIn, isRecipeName, recipeNameRule, recipePrefix } from '../image/recipes.ts'
import type { WrittenRecipe } from './schema.ts'

/** What a recipe includes, `shell` first if it is set. */
export const includesOf = ({ shell, include = [] }: WrittenRecipe): string[] => [
  ...(shell ? ['shell'] : []),
  ...include,
]

/** Why a recipe of the operator cannot have a name; undefined if it can. */
export function nameProblem(name: string): string | undefined {
  if (!isRecipeName(name)) return recipeNameRule
  if (isBuiltIn(name)) return `${name} is a built-in recipe: choose another name, and include ${name}`
  const isWord = name === recipePrefix || Object.hasOwn(platforms, name)
  return isWord ? `${name} is a word of its own: choose another name` : undefined
}
