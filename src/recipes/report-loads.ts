import { recipePrefix } from '../image/recipes.ts'
import type { FolderRecipes } from './folder.ts'
import { formatProblem } from './parse.ts'

export type ReportOptions = {
  readonly warn: (line: string) => void
  /**
   * Those of these names, and of the recipes of the package set, that packages have as well; not given where recipes need
   * `recipe/` before their names.
   */
  readonly clashing?: ((names: readonly string[]) => Promise<readonly string[]>) | undefined
}

// Lines about one load.
const mostLines = 50

/** Tells the operator what is wrong with recipes when they are loaded, and not only whoever pulls them. Each line once. */
export function reportLoads({ warn, clashing }: ReportOptions): (recipes: FolderRecipes) => Promise<void> {
  let told = new Set<string>()
  return async ({ entries }) => {
    const broken = [...entries.values()].flatMap((entry) =>
      'problems' in entry ? entry.problems.map(formatProblem) : [],
    )
    const clashes = (await clashing?.([...entries.keys()])) ?? []
    const lines = [...broken, ...clashes.map((name) => `recipe ${name}: ${clashReason(name)}`)]
    for (const line of lines.slice(0, mostLines)) if (!told.has(line)) warn(line)
    told = new Set(lines)
  }
}

/** Why a recipe cannot be named without `recipe/`. */
export const clashReason = (name: string): string =>
  `the package set has a package of this name: rename the recipe, or pull ${recipePrefix}/${name}`
