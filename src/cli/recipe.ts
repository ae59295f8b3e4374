import { Argument } from 'commander'
import { BaseProblem } from '../bases/errors.ts'
import { createBaseRegistry } from '../bases/registry.ts'
import { NixeryError } from '../errors.ts'
import { isListed, isPinned, parseBase } from '../image/base.ts'
import { platforms } from '../image/platform.ts'
import { checkRecipes, locatedError, type CheckedRecipe } from '../recipes/check.ts'
import { RecipeError } from '../recipes/errors.ts'
import { openFolder, type FolderEntry } from '../recipes/folder.ts'
import { counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { lockFolder } from './recipe-lock.ts'

type Options = { readonly update?: true }

export const setUp = defineCommand({
  usesFolders: false,
  declare: (command) =>
    command
      .addArgument(
        new Argument(
          '<action>',
          'check: report problems in each recipe; lock: append the digests of base images to their tags',
        ).choices(['check', 'lock']),
      )
      .argument('[folder]', 'folder with recipes (default: NIXERY_RECIPES)')
      .option('--update', 'lock: also look up tags that already have a digest'),
  run,
})

/** @throws RECIPE_INVALID with all problems, CONFIG_INVALID without a folder */
async function run(
  context: CommandContext,
  options: Options,
  action: string,
  folderArgument: string | undefined,
): Promise<void> {
  const folder = folderArgument ?? context.config().NIXERY_RECIPES
  if (folder === undefined) throw new NixeryError('CONFIG_INVALID', 'name a folder, or set NIXERY_RECIPES')
  await (action === 'lock' ? lock(context, folder, options.update === true) : check(context, folder))
}

async function lock(context: CommandContext, folder: string, update: boolean): Promise<void> {
  const { progress, signal } = context
  const registry = createBaseRegistry({ environment: process.env })
  const files = await lockFolder(folder, { registry, update, signal })
  const problems = files.flatMap((each) => ('problem' in each ? [`${each.file}: ${each.problem}`] : []))
  const lines = files.flatMap((each) => ('base' in each ? [`${each.file}: ${each.base}`] : []))
  context.print({ files }, lines.join('\n'))
  if (problems.length > 0) throw new NixeryError('RECIPE_INVALID', problems.join('\n'))
  const changed = files.filter((each) => 'changed' in each && each.changed)
  progress.done(`${counted(changed.length, 'file')} changed`)
}

async function check(context: CommandContext, folder: string): Promise<void> {
  const { entries } = await openFolder(folder).look()
  const checked = await checkRecipes(entries)
  const recipes = await Promise.all(checked.map((each) => withBase(context, each, entries)))
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

/** The problems of a recipe, including its base in the registry. */
async function withBase(
  context: CommandContext,
  recipe: CheckedRecipe,
  entries: ReadonlyMap<string, FolderEntry>,
): Promise<CheckedRecipe> {
  const base = recipe.base === undefined ? undefined : parseBase(recipe.base)
  if (!base || !isPinned(base)) return recipe
  const { NIXERY_BASE_REGISTRIES: allowed, NIXERY_PLATFORMS: defaults } = context.config()
  try {
    if (!isListed(base, allowed)) {
      throw new BaseProblem(
        `bases from this registry are not allowed: add ${base.host} to NIXERY_BASE_REGISTRIES`,
      )
    }
    const registry = createBaseRegistry({ environment: process.env })
    const wanted = Object.values(platforms).filter(({ architecture }) =>
      (recipe.platforms ?? defaults).includes(architecture),
    )
    const unavailable: BaseProblem[] = []
    for (const platform of wanted) {
      await registry.describe(base, platform, context.signal).catch((error: unknown) => {
        if (!(error instanceof BaseProblem && error.ofPlatform)) throw error
        unavailable.push(error)
      })
    }
    const [first] = unavailable
    if (first && unavailable.length === wanted.length) throw first
    const warnings = unavailable.map(
      ({ message }) => `${recipe.file}: recipe ${recipe.name}: base: ${message}`,
    )
    return { ...recipe, warnings: [...recipe.warnings, ...warnings] }
  } catch (error) {
    if (!(error instanceof BaseProblem)) throw error
    const failure = new RecipeError(recipe.name, 'base', `${recipe.base}: ${error.message}`)
    return { ...recipe, problems: [locatedError(failure, entries).message] }
  }
}
