import { impliedPackages, type ImageRequest } from '../image/name.ts'
import { recipes, type PackageChoice, type Recipe, type RecipeName } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import type { Resolution } from './resolution.ts'

/** A request of which is known which of its words are recipes. */
export type Decided = {
  readonly request: ImageRequest
  /** All recipes, sorted. */
  readonly recipes: readonly RecipeName[]
  /** All packages that were written, sorted. */
  readonly packages: readonly string[]
}

/** One thing that an image has: the first of some names that the package set has. */
export type Wanted = {
  readonly names: readonly [string, ...string[]]
  /** `optional`: left out with a warning where the package set has none of them. */
  readonly need: 'required' | 'optional'
  /** The recipes that it comes with; none for what was written, and for what every image gets. */
  readonly by: readonly RecipeName[]
  /** What every image gets is not subject to what the operator allows. */
  readonly implied: boolean
}

/**
 * Decides what the leading words of a name mean: a word is a package if the package set has one of that name, also one
 * that cannot be had, and a recipe otherwise.
 * @param resolutions what the words mean as names of packages
 */
export function decideWords(request: ImageRequest, resolutions: ReadonlyMap<string, Resolution>): Decided {
  const isPackage = (word: string) => {
    const found = resolutions.get(word)
    if (found === undefined) throw new Error('a word was not looked up')
    return found.status !== 'missing' && !(found.status === 'invalid' && found.kind === 'other')
  }
  const packages = request.words.filter(isPackage)
  const others = request.words.filter((word) => !packages.includes(word))
  return {
    request,
    recipes: [...new Set([...request.recipes, ...others])].sort(byText),
    packages: [...new Set([...request.packages, ...packages])].sort(byText),
  }
}

/** All that an image has, and what every image gets where it exists. What is wanted twice is there once. */
export function wantedBy({ packages, recipes: chosen }: Decided): Wanted[] {
  const wanted = new Map<string, Wanted>()
  const add = (choice: PackageChoice, given: Omit<Wanted, 'names'>) => {
    const names = namesOf(choice)
    const key = names.join(' ')
    const same = wanted.get(key)
    wanted.set(key, {
      names,
      need: same?.need === 'required' ? 'required' : given.need,
      // What was written is to be blamed on nobody else.
      by: same?.by.length === 0 ? [] : [...(same?.by ?? []), ...given.by],
      implied: given.implied,
    })
  }
  for (const name of packages) add(name, { need: 'required', by: [], implied: false })
  for (const name of chosen) {
    const recipe: Recipe = recipes[name]
    for (const choice of recipe.packages) add(choice, { need: 'required', by: [name], implied: false })
    for (const choice of recipe.optional ?? []) add(choice, { need: 'optional', by: [name], implied: false })
  }
  const asked = new Set([...wanted.values()].flatMap(({ names }) => names))
  for (const name of impliedPackages) {
    if (!asked.has(name)) add(name, { need: 'optional', by: [], implied: true })
  }
  return [...wanted.values()].sort(
    (a, b) => Number(a.implied) - Number(b.implied) || byText(a.names[0], b.names[0]),
  )
}

const namesOf = (choice: PackageChoice): Wanted['names'] => (typeof choice === 'string' ? [choice] : choice)
