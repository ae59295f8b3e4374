import { maxPackages, parseImageName, type ImageRequest, type Vocabulary } from '../image/name.ts'
import { platforms } from '../image/platform.ts'
import { isBuiltIn, recipePrefix, reservedRecipe } from '../image/recipes.ts'

/** The state of the composer, all of which is in the page's URL. */
export type Composition = {
  /** The name of a package set; undefined for the first. */
  readonly set: string | undefined
  /** The platform; undefined if the name has none. */
  readonly platform: string | undefined
  readonly recipes: readonly string[]
  /** In the order in which they were added: `git`, `python3--3.11`. */
  readonly packages: readonly string[]
  /** Names of images that the reader already has. */
  readonly have: readonly string[]
  readonly query: string
  /** The number of results before the current page. */
  readonly offset: number
  /** The client for which commands are shown. */
  readonly use: string
}

// Limits for URLs: the length of lists, and the characters of an item.
const mostHave = 10
const longestItem = 255
const longestQuery = 200
const mostOffset = 1_000

/**
 * Reads the query of a URL. Invalid parts are ignored, so that every URL shows a page.
 * @param sets the names of package sets; the first needs no name
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

/** The URL of a composition, relative to the server's root. */
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

/** The parts of the URL as fields of a form that changes some of them. */
export function fieldsOf(
  composition: Composition,
  without: readonly string[],
): [name: string, value: string][] {
  const { searchParams } = new URL(addressOf(composition), 'http://localhost')
  return [...searchParams].filter(([name]) => !without.includes(name))
}

/**
 * The composed image; undefined if it is empty.
 * @throws NAME_INVALID if a package or recipe cannot be part of a name
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
  // A package with the name of a word that can begin an image name comes last.
  const isWord = (name: string) =>
    isBuiltIn(name) || Object.hasOwn(platforms, name) || vocabulary.sets.has(name)
  const ordered = packages.toSorted((a, b) => Number(isWord(a)) - Number(isWord(b)))
  return parseImageName([...leading, ...words, ...ordered].join('/'), undefined, vocabulary)
}

/** The composition of an image. */
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
