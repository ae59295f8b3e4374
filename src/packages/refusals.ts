import { NixeryError } from '../errors.ts'
import { formatImageName, isLeading, ofOneSet, type ImageRequest } from '../image/name.ts'
import { platforms } from '../image/platform.ts'
import { isBuiltIn, recipePrefix, reservedRecipe } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import { alternatives, listed, suggestionText } from '../text/words.ts'
import type { Resolution } from './resolution.ts'
import { withHints } from './suggestions.ts'
import type { DecidedRequest, ImagePackage } from './image-packages.ts'

/** A required package that cannot be used, and the result of its lookup. */
export type Unavailable = ImagePackage & { readonly found: Resolution | undefined }

/**
 * Refuses an image if required packages cannot be used. Reports missing packages first, then denied ones, then invalid
 * ones, all of a kind at once.
 * @param hints suggests names for a missing one, the most likely first
 * @throws PACKAGE_UNKNOWN, PACKAGE_DENIED, PACKAGE_INVALID
 */
export function refuse(
  decided: DecidedRequest,
  unavailable: readonly Unavailable[],
  hints: Hints = () => [],
): void {
  refuseMissing(
    decided,
    unavailable.filter(({ found }) => found === undefined || found.status === 'missing'),
    hints,
  )
  refuseAll('denied', 'PACKAGE_DENIED', decided, unavailable)
  refuseAll('invalid', 'PACKAGE_INVALID', decided, unavailable)
}

/** Formats recipe names: `` `ci` and `shell` ``. */
export const wordsOf = (names: readonly string[]): string => listed(names.map((name) => `\`${name}\``))

/** Suggests names for one that does not exist, the most likely first. */
export type Hints = (name: string) => readonly string[]

type Suggestion = { readonly name: string; readonly nearest: readonly string[]; readonly text: string }

function refuseMissing({ request }: DecidedRequest, unavailable: readonly Unavailable[], hints: Hints): void {
  if (unavailable.length === 0) return
  const missing = unavailable.map(({ names }) => names[0])
  const written = unavailable.filter(({ by }) => by.length === 0)
  const suggestions = written.flatMap(
    ({ names: [name], found }) => suggestionFor(request, name, found, hints) ?? [],
  )
  // The first sentence is the original's, for scripts that look for it.
  const sentences = [
    `Could not find Nix packages: [${missing.join(' ')}].`,
    ...suggestions.map(({ text }) => text),
    ...neededByRecipes(unavailable),
  ]
  throw new NixeryError('PACKAGE_UNKNOWN', sentences.join(' '), {
    detail: { missing, suggestions: suggestions.map(({ name, nearest }) => ({ name, nearest })) },
  })
}

function suggestionFor(
  request: ImageRequest,
  name: string,
  found: Resolution | undefined,
  hints: Hints,
): Suggestion | undefined {
  const corrected = withMetaFirst(request, name)
  if (corrected !== undefined) {
    return { name, nearest: [corrected], text: `\`${name}\` must come first: ${corrected}` }
  }
  if (request.behind?.includes(name)) {
    return { name, nearest: [], text: `\`${name}\` names a package set: ${ofOneSet}.` }
  }
  if (found?.status !== 'missing') return undefined
  const nearest = name.includes('.') ? found.nearest : withHints(found.nearest, hints(name))
  if (nearest.length === 0) return undefined
  return { name, nearest, text: suggestionText(name, nearest) }
}

/** A sentence for each recipe with missing packages, since the user did not write their names. */
function neededByRecipes(unavailable: readonly Unavailable[]): string[] {
  const groups = Map.groupBy(
    unavailable.filter(({ by }) => by.length > 0),
    ({ by }) => wordsOf(by),
  )
  return [...groups].map(([words, some]) => {
    const names = some.map(({ names: [first, ...others] }) =>
      others.length > 0 ? `${first} (nor ${alternatives(others)})` : first,
    )
    const need = (some[0]?.by.length ?? 0) > 1 ? 'need' : 'needs'
    return `The package set has no ${alternatives(names)}, which ${words} ${need}.`
  })
}

function refuseAll(
  status: 'invalid' | 'denied',
  code: 'PACKAGE_INVALID' | 'PACKAGE_DENIED',
  { request }: DecidedRequest,
  unavailable: readonly Unavailable[],
): void {
  const reasons = unavailable.flatMap(({ names: [name], by, found }) =>
    found?.status === status ? [{ name, by, reason: found.reason }] : [],
  )
  if (reasons.length === 0) return
  const message = reasons
    .map(({ name, by, reason }) => {
      const isWord = request.words.some((word) => word === name)
      const other = isWord ? `; \`${recipePrefix}/${name}\` is the meta-package` : ''
      return by.length > 0 ? `${name} (for ${wordsOf(by)}): ${reason}` : `${name}: ${reason}${other}`
    })
    .join('\n')
  const names = reasons.map(({ name }) => name)
  throw new NixeryError(code, message, {
    detail: status === 'invalid' ? { invalid: names } : { denied: names },
  })
}

/** The image's name with a meta-package or package set moved to its beginning, if this name is one that follows a package. */
function withMetaFirst(request: ImageRequest, name: string): string | undefined {
  const packages = request.packages.filter((other) => other !== name)
  if (request.behind?.includes(name) && request.set === undefined)
    return formatImageName({ ...request, packages, set: name })
  if (!isLeading(name) || !request.packages.includes(name)) return undefined
  if (isBuiltIn(name)) {
    const { recipes, words } = request
    if (recipes.includes(name) || words.includes(name)) return formatImageName({ ...request, packages })
    const corrected =
      name === reservedRecipe
        ? { recipes: [...recipes, name].sort(byText) }
        : { words: [...words, name].sort(byText) }
    return formatImageName({ ...request, packages, ...corrected })
  }
  const platform = Object.entries(platforms).find(([architecture]) => architecture === name)?.[1]
  if (!platform || request.platformNamed) return undefined
  return formatImageName({ ...request, packages, platform, platformNamed: true })
}
