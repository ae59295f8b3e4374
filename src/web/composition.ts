import { maxPackages, parseImageName, type ImageRequest, type Vocabulary } from '../image/name.ts'
import { platforms } from '../image/platform.ts'
import { isBuiltIn, recipePrefix, reservedRecipe } from '../image/recipes.ts'

/** An image that somebody is composing: all of it is in the address of the page. */
export type Composition = {
  /** The name of a package set; undefined for the first. */
  readonly set: string | undefined
  /** The platform; undefined where the name is to have none. */
  readonly platform: string | undefined
  readonly recipes: readonly string[]
  /** In the order in which they were added: `git`, `python3--3.11`. */
  readonly packages: readonly string[]
  /** Names of images that the reader has. */
  readonly have: readonly string[]
  readonly query: string
  /** Results before the page that is shown. */
  readonly offset: number
  /** The client that the commands are for. */
  readonly use: string
}

// Bounds for what an address may have: lists, and characters of an item.
const mostHave = 10
const longestItem = 255
const longestQuery = 200
const mostOffset = 1_000

/**
 * Reads the query of an address. What cannot be is left out, so that every address shows a page.
 * @param sets the names of package sets, the first of which needs no name
 */
export function parseComposition(query: string, sets: readonly (string | undefined)[]): Composition {
  const parameters = new URLSearchParams(query)
  const all = (name: string, most: number) =>
    [...new Set(parameters.getAll(name).filter((item) => item !== '' && item.length <= longestItem))].slice(
      0,
      most,
    )
  const one = (name: string) => parameters.get(name) ?? undefined
  const set = sets.slice(1).find((name) => name !== undefined && name === one('s'))
  const offset = Number(/^\d{1,4}$/.exec(one('o') ?? '')?.[0] ?? 0)
  return {
    set,
    platform: Object.keys(platforms).find((name) => name === one('a')),
    recipes: all('r', 10),
    packages: all('p', maxPackages),
    have: all('have', mostHave),
    query: (one('q') ?? '').slice(0, longestQuery),
    offset: Math.min(offset, mostOffset),
    use: one('use') ?? '',
  }
}

/** The address of a composition, from the root of the server. */
export function addressOf(composition: Composition, changes: Partial<Composition> = {}): string {
  const { set, platform, recipes, packages, have, query, offset, use } = { ...composition, ...changes }
  const parameters = new URLSearchParams()
  if (query !== '') parameters.set('q', query)
  if (offset > 0) parameters.set('o', String(offset))
  if (set !== undefined) parameters.set('s', set)
  if (platform !== undefined) parameters.set('a', platform)
  for (const recipe of recipes) parameters.append('r', recipe)
  for (const name of packages) parameters.append('p', name)
  for (const name of have) parameters.append('have', name)
  if (use !== '') parameters.set('use', use)
  const text = parameters.toString()
  return text === '' ? '/compose' : `/compose?${text}`
}

/** What the address has, as fields of a form that changes some of it. */
export function fieldsOf(
  composition: Composition,
  without: readonly string[],
): [name: string, value: string][] {
  const { searchParams } = new URL(addressOf(composition), 'http://localhost')
  return [...searchParams].filter(([name]) => !without.includes(name))
}

/**
 * The image that is composed; undefined for one of nothing.
 * @throws NAME_INVALID if a package or recipe cannot be in a name
 */
export function imageOf(
  { set, platform, recipes, packages }: Composition,
  vocabulary: Vocabulary,
): ImageRequest | undefined {
  if (recipes.length + packages.length === 0) return undefined
  const words = recipes.flatMap((name) =>
    name === reservedRecipe || isBuiltIn(name) ? [name] : [recipePrefix, name],
  )
  const leading = [platform, set].filter((word) => word !== undefined)
  // A package that is called like a word that may begin a name comes last.
  const isWord = (name: string) =>
    isBuiltIn(name) || Object.hasOwn(platforms, name) || vocabulary.sets.has(name)
  const ordered = packages.toSorted((a, b) => Number(isWord(a)) - Number(isWord(b)))
  return parseImageName([...leading, ...words, ...ordered].join('/'), undefined, vocabulary)
}

/** The composition that an image is of. */
export const compositionOf = (request: ImageRequest): Composition => ({
  set: request.set,
  platform: request.platformNamed ? request.platform.architecture : undefined,
  recipes: [...request.recipes, ...request.words],
  packages: request.packages,
  have: [],
  query: '',
  offset: 0,
  use: '',
})
