import { Argument } from 'commander'
import { NixeryError } from '../errors.ts'
import { checkRecipes } from '../recipes/check.ts'
import { openFolder } from '../recipes/folder.ts'
import { counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'

export const setUp = defineCommand({
  usesFolders: false,
  declare: (command) =>
    command
      .addArgument(new Argument('<action>', 'check: say what is wrong with each recipe').choices(['check']))
      .argument('[folder]', 'folder with recipes (default: NIXERY_RECIPES)'),
  run: check,
})

/** @throws RECIPE_INVALID with all problems, CONFIG_INVALID without a folder */
async function check(
  context: CommandContext,
  _: unknown,
  _action: string,
  given: string | undefined,
): Promise<void> {
  const folder = given ?? context.config().NIXERY_RECIPES
  if (folder === undefined) throw new NixeryError('CONFIG_INVALID', 'name a folder, or set NIXERY_RECIPES')
  const { entries } = await openFolder(folder).look()
  const recipes = await checkRecipes(entries)
  for (const warning of recipes.flatMap(({ warnings }) => warnings)) context.progress.note(warning)
  const broken = recipes.filter(({ problems }) => problems.length > 0)
  if (broken.length > 0) {
    const messages = broken.flatMap(({ problems }) => problems)
    if (context.json) context.print({ recipes })
    throw new NixeryError('RECIPE_INVALID', messages.join('\n'))
  }
  context.print({ recipes }, recipes.map(({ name }) => name).join('\n'))
  context.progress.done(`${counted(recipes.length, 'recipe')} checked`)
}
