import { impliedPackages, type ImageRequest } from '../image/name.ts'
import type { NamedRecipe, PackageChoice } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import { splitVersion } from '../image/version.ts'
import type { Resolution } from './resolution.ts'

/** A request whose leading words are decided: packages or recipes. */
export type DecidedRequest = {
  readonly request: ImageRequest
  /** All recipes, sorted by name. */
  readonly recipes: readonly NamedRecipe[]
  /** All packages that the request names, sorted. */
  readonly packages: readonly string[]
}

/** A package to add to an image: the first of its names that the package set has. */
export type ImagePackage = {
  readonly names: readonly [string, ...string[]]
  /** `optional`: left out with a warning if the package set has none of the names. */
  readonly need: 'required' | 'optional'
  /** The recipes that add it; empty for requested packages and for those that every image has. */
  readonly by: readonly string[]
  /** Whether every image has it; the operator's filter does not apply to it. */
  readonly implied: boolean
}

/**
 * Decides what the leading words of a name mean: a word is a package if the package set has a package of that name, even
 * an unusable one, and a recipe otherwise.
 * @param resolutions the words, resolved as package names
 * @param recipeOf the recipe of a name
 */
export function decideWords(
  request: ImageRequest,
  resolutions: ReadonlyMap<string, Resolution>,
  recipeOf: (name: string) => NamedRecipe['recipe'],
): DecidedRequest {
  const packages = request.words.filter((word) => isPackage(resolutions.get(word)))
  const others = request.words.filter((word) => !packages.includes(word))
  return {
    request,
    recipes: [...new Set<string>([...request.recipes, ...others])]
      .sort(byText)
      .map((name) => ({ name, recipe: recipeOf(name) })),
    packages: [...new Set([...request.packages, ...packages])].sort(byText),
  }
}

/** Whether the package set has a package of a name that was looked up, even an unusable one. */
export function isPackage(found: Resolution | undefined): boolean {
  if (found === undefined) throw new Error('a word was not looked up')
  return found.status !== 'missing' && !(found.status === 'invalid' && found.kind === 'other')
}

/** Lists the packages of an image without duplicates, including those that every image has. */
export function packagesOf({ packages, recipes: chosen }: DecidedRequest): ImagePackage[] {
  const entries = new Map<string, ImagePackage>()
  const add = (choice: PackageChoice, given: Omit<ImagePackage, 'names'>) => {
    const names = namesOf(choice)
    const key = names.join(' ')
    const same = entries.get(key)
    entries.set(key, {
      names,
      need: same?.need === 'required' ? 'required' : given.need,
      // A package that the request names is not attributed to a recipe.
      by: same?.by.length === 0 ? [] : [...(same?.by ?? []), ...given.by],
      implied: given.implied,
    })
  }
  for (const name of packages) add(name, { need: 'required', by: [], implied: false })
  for (const { name, recipe } of chosen) {
    for (const choice of recipe.packages) add(choice, { need: 'required', by: [name], implied: false })
    for (const choice of recipe.optional ?? []) add(choice, { need: 'optional', by: [name], implied: false })
  }
  const requested = new Set(
    [...entries.values()].flatMap(({ names }) => names.map((name) => splitVersion(name)?.name ?? name)),
  )
  for (const name of impliedPackages) {
    if (!requested.has(name)) add(name, { need: 'optional', by: [], implied: true })
  }
  return [...entries.values()].sort(
    (a, b) => Number(a.implied) - Number(b.implied) || byText(a.names[0], b.names[0]),
  )
}

const namesOf = (choice: PackageChoice): ImagePackage['names'] =>
  typeof choice === 'string' ? [choice] : choice
