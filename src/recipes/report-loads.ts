import { recipePrefix } from '../image/recipes.ts'
import type { FolderRecipes } from './folder.ts'
import { formatProblem } from './parse.ts'

export type ReportOptions = {
  readonly warn: (line: string) => void
  /**
   * Returns which of these names, and of the recipes of the package set, are also names of packages; undefined if
   * recipes need the `recipe/` prefix.
   */
  readonly clashing?: ((names: readonly string[]) => Promise<readonly string[]>) | undefined
}

// The maximum number of lines about one load.
const mostLines = 50

/** Logs the problems of recipes when they are loaded, not only when they are pulled. Each line is logged once. */
export function reportLoads({ warn, clashing }: ReportOptions): (recipes: FolderRecipes) => Promise<void> {
  let reported = new Set<string>()
  return async ({ entries }) => {
    const broken = [...entries.values()].flatMap((entry) =>
      'problems' in entry ? entry.problems.map(formatProblem) : [],
    )
    const clashes = (await clashing?.([...entries.keys()])) ?? []
    const lines = [...broken, ...clashes.map((name) => `recipe ${name}: ${clashReason(name)}`)]
    for (const line of lines.slice(0, mostLines)) if (!reported.has(line)) warn(line)
    reported = new Set(lines)
  }
}

/** Why a recipe cannot be used without the `recipe/` prefix. */
export const clashReason = (name: string): string =>
  `the package set has a package of this name: rename the recipe, or pull ${recipePrefix}/${name}`
