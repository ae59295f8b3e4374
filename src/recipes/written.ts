import { platforms } from '../image/platform.ts'
import { isBuiltIn, isRecipeName, recipeNameRule, recipePrefix } from '../image/recipes.ts'
import type { WrittenRecipe } from './schema.ts'

/** The recipes that a recipe includes, `shell` first if it is set. */
export const includesOf = ({ shell, include = [] }: WrittenRecipe): string[] => [
  ...(shell ? ['shell'] : []),
  ...include,
]

/** Why an operator's recipe cannot have this name; undefined if it can. */
export function nameProblem(name: string): string | undefined {
  if (!isRecipeName(name)) return recipeNameRule
  if (isBuiltIn(name)) return `${name} is a built-in recipe: choose another name, and include ${name}`
  const isWord = name === recipePrefix || Object.hasOwn(platforms, name)
  return isWord ? `${name} is a reserved word: choose another name` : undefined
}
