import { NixeryError } from '../errors.ts'
import { defaultPlatform, platforms, type Platform } from './platform.ts'
import {
  isBuiltIn,
  isRecipeName,
  recipeNameRule,
  recipePrefix,
  reservedRecipe,
  type BuiltInRecipe,
} from './recipes.ts'
import { byText } from './store-path.ts'

/**
 * A parsed image name. The grammar is the original's (builder.go): segments between slashes are packages, dots select
 * nested attributes, and leading segments may be meta-packages. Names of recipes other than `shell` are an addition;
 * whether they mean recipes or packages depends on the package set.
 */
export type ImageRequest = {
  readonly platform: Platform
  /** Whether the name includes the platform; otherwise the response may be an index or a default platform. */
  readonly platformNamed: boolean
  /** Recipes, regardless of packages: `shell`, and those after `recipe/`. Sorted. */
  readonly recipes: readonly string[]
  /** Leading words of the name: recipes, unless the package set has packages with these names. Sorted. */
  readonly words: readonly BuiltInRecipe[]
  /** The leading word that names a package set, unless the default set has a package of that name. */
  readonly set?: string
  /** The requested packages: sorted, without duplicates. */
  readonly packages: readonly string[]
  /** The packages that would name a package set at the beginning of a name; undefined if there are none. */
  readonly behind?: readonly string[]
  readonly tag: string
}

/** The words that the operator adds to the grammar. */
export type Vocabulary = {
  /** The names of the package sets, if there are several. */
  readonly sets: ReadonlySet<string>
}

/** The rule for package sets, for error messages. */
export const ofOneSet = 'all packages of an image come from one package set, which is named first'

export const noWords: Vocabulary = { sets: new Set() }

const maxNameLength = 255
export const maxPackages = 30
/** The maximum number of packages with versions, each of which may come from another revision of the package set. */
const maxVersions = 8

/** Packages that every image has if they exist: certificates, and the names of ports and protocols. */
export const impliedPackages = ['cacert', 'iana-etc'] as const

const component = '[A-Za-z0-9_][A-Za-z0-9_-]*'
const attribute = new RegExp(`^${component}(\\.${component})*$`)
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

const isPlatformName = (segment: string): segment is Platform['architecture'] =>
  Object.hasOwn(platforms, segment)
/** Whether a leading segment has, or may have, a meaning other than a package. */
export const isLeading = (segment: string): boolean =>
  isBuiltIn(segment) || isPlatformName(segment) || segment === recipePrefix

/**
 * Parses the name and tag of an image from a decoded URL.
 * @param vocabulary words besides those of the program
 * @throws NAME_INVALID, TAG_INVALID with a message that explains the error and never repeats raw input
 */
export function parseImageName(name: string, tag = 'latest', vocabulary = noWords): ImageRequest {
  if (name.length > maxNameLength) throw invalid(`an image name has at most ${maxNameLength} characters`)
  const segments = name.split('/')
  for (const segment of segments) checkSegment(segment)

  const leading = leadingOf(segments, vocabulary)
  const packages = [...new Set(segments.slice(leading.length))].sort(byText)
  if (packages.length > maxPackages) {
    throw invalid(`an image has at most ${maxPackages} packages; this name has ${packages.length}`)
  }
  if (packages.filter((each) => each.includes('--')).length > maxVersions) {
    throw invalid(`an image has at most ${maxVersions} packages with versions`)
  }
  const behind = packages.filter((each) => vocabulary.sets.has(each))
  return Object.freeze({
    platform: leading.platform ?? defaultPlatform,
    platformNamed: leading.platform !== undefined,
    recipes: Object.freeze(leading.recipes.sort(byText)),
    words: Object.freeze(leading.words.sort(byText)),
    ...(leading.set !== undefined && { set: leading.set }),
    packages: Object.freeze(packages),
    ...(behind.length > 0 && { behind: Object.freeze(behind) }),
    tag: parseTag(tag),
  })
}

/** Whether operators may define a recipe of this name, or it is a built-in one. */
const mayBeRecipe = (word: string): boolean =>
  isRecipeName(word) && !isPlatformName(word) && word !== recipePrefix

/** Parses the segments before the packages: in any order, each at most once. */
function leadingOf(segments: readonly string[], { sets }: Vocabulary) {
  const recipeNames: string[] = []
  const words: BuiltInRecipe[] = []
  const seen = new Set<string>()
  let platform: Platform | undefined
  let set: string | undefined
  let length = 0
  while (length < segments.length) {
    let word = segments[length] ?? ''
    const isPrefixed = word === recipePrefix
    if (isPrefixed) word = segments[length + 1] ?? ''
    if (isPrefixed) {
      if (!mayBeRecipe(word)) throw invalid(`\`${recipePrefix}/\` is followed by a recipe; ${recipeNameRule}`)
      recipeNames.push(word)
    } else if (isBuiltIn(word)) {
      if (word === reservedRecipe) recipeNames.push(word)
      else words.push(word)
    } else if (isPlatformName(word)) {
      if (platform && platform !== platforms[word]) throw invalid('an image name has at most one platform')
      platform = platforms[word]
    } else if (sets.has(word)) {
      if (set !== undefined && set !== word) throw invalid(`${ofOneSet}: this name has ${set} and ${word}`)
      set = word
    } else break
    if (seen.has(word)) throw invalid(`\`${word}\` occurs twice at the beginning of this name: write it once`)
    seen.add(word)
    length += isPrefixed ? 2 : 1
  }
  return { platform, set, recipes: recipeNames, words, length }
}

/** Parses `shell/git` or `shell/git:TAG`. */
export function parseImageReference(text: string, vocabulary = noWords): ImageRequest {
  const colon = text.lastIndexOf(':')
  if (colon === -1) return parseImageName(text, undefined, vocabulary)
  return parseImageName(text.slice(0, colon), text.slice(colon + 1), vocabulary)
}

/** The canonical name of a request: `parseImageName(formatImageName(r), r.tag, vocabulary)` equals `r`. */
export function formatImageName(request: ImageRequest): string {
  const platform = request.platformNamed ? [request.platform.architecture] : []
  const recipeNames = request.recipes.map((name) =>
    name === reservedRecipe ? name : `${recipePrefix}/${name}`,
  )
  const set = request.set === undefined ? [] : [request.set]
  // A package named `shell` or `arm64`, or like a package set, must come after an ordinary package.
  const isBehind = (name: string) => isLeading(name) || request.behind?.includes(name) === true
  const ordinary = request.packages.filter((name) => !isBehind(name))
  const behind = request.packages.filter(isBehind)
  const segments = [...platform, ...set, ...recipeNames, ...request.words, ...ordinary, ...behind]
  return segments.length > 0 ? segments.join('/') : request.platform.architecture
}

/** The rule for tags, for error messages. */
export const tagRule =
  'a tag is 1 to 128 letters, digits, "_", "." and "-", and begins with a letter, a digit or "_"'

/** Whether the distribution spec allows this text as a tag. */
export const isTag = (text: string): boolean => tagPattern.test(text)

/** @throws TAG_INVALID if the distribution spec does not allow this tag */
export function parseTag(text: string): string {
  if (isTag(text)) return text
  throw new NixeryError('TAG_INVALID', tagRule)
}

function checkSegment(segment: string): void {
  if (segment === '') throw invalid('an image name is package names with single slashes between them')
  if (/[^A-Za-z0-9_.-]/.test(segment)) {
    throw invalid(
      'a package name has only letters, digits, "_", "-", and "." between the parts of a nested name; ' +
        'other characters are spelled: gtk__plus__3 is gtk+3',
    )
  }
  if (!attribute.test(segment)) {
    throw invalid(
      'each part of a package name begins with a letter, a digit or "_", and parts are joined by single dots',
    )
  }
}

const invalid = (message: string) =>
  new NixeryError('NAME_INVALID', message, { hint: 'for example: shell/git/python3Packages.requests' })
