import { NixeryError } from '../errors.ts'

/** A problem in a recipe: the recipe's name, the field, the problem, and what to do. */
export class RecipeError extends NixeryError<'RECIPE_INVALID'> {
  readonly recipe: string
  readonly field: string | undefined
  /** The message without the recipe and the field. */
  readonly reason: string

  constructor(recipe: string, field: string | undefined, reason: string) {
    super('RECIPE_INVALID', `recipe ${recipe}: ${field === undefined ? '' : `${field}: `}${reason}`)
    this.recipe = recipe
    this.field = field
    this.reason = reason
  }
}

export const recipeError = (recipe: string, field: string | undefined, reason: string): RecipeError =>
  new RecipeError(recipe, field, reason)
