import { NixeryError } from '../errors.ts'
import { defaultPlatform, platforms, type Platform } from './platform.ts'
import { isRecipeName, recipePrefix, recipes, reservedRecipe, type RecipeName } from './recipes.ts'
import { byText } from './store-path.ts'

/**
 * What an image name asks for. The grammar is the original's (builder.go): segments between slashes are
 * packages, dots reach into nested sets, and leading segments may be meta-packages. New are the words of recipes other
 * than `shell`, of which only the package set tells whether they are packages.
 */
export type ImageRequest = {
  readonly platform: Platform
  /** Whether the name itself says the platform; else an index may be given, or another default. */
  readonly platformNamed: boolean
  /** The recipes that are meant whatever the package set has: `shell`, and those behind `recipe/`. Sorted. */
  readonly recipes: readonly RecipeName[]
  /** Words that the name begins with: a recipe each, unless the package set has a package of that name. Sorted. */
  readonly words: readonly RecipeName[]
  /** The packages that were written: sorted, each once. */
  readonly packages: readonly string[]
  readonly tag: string
}

const maxNameLength = 255
export const maxPackages = 30

/** What every image gets, where the package set has it: certificates, and the names of ports and protocols. */
export const impliedPackages = ['cacert', 'iana-etc'] as const

const component = '[A-Za-z0-9_][A-Za-z0-9_-]*'
const attribute = new RegExp(`^${component}(\\.${component})*$`)
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

const isPlatformName = (segment: string): segment is Platform['architecture'] =>
  Object.hasOwn(platforms, segment)
/** Whether a segment is no package when a name begins with it, or may be none. */
export const isLeading = (segment: string): boolean =>
  isRecipeName(segment) || isPlatformName(segment) || segment === recipePrefix

/**
 * Parses the name and tag of an image, as they stand in a URL after decoding.
 * @throws NAME_INVALID, TAG_INVALID with a message that says what is wrong and never repeats raw input.
 */
export function parseImageName(name: string, tag = 'latest'): ImageRequest {
  if (name.length > maxNameLength) throw invalid(`an image name has at most ${maxNameLength} characters`)
  const segments = name.split('/')
  for (const segment of segments) checkSegment(segment)

  const leading = leadingOf(segments)
  const packages = [...new Set(segments.slice(leading.length))].sort(byText)
  if (packages.length > maxPackages) {
    throw invalid(`an image has at most ${maxPackages} packages; this name has ${packages.length}`)
  }
  return Object.freeze({
    platform: leading.platform ?? defaultPlatform,
    platformNamed: leading.platform !== undefined,
    recipes: Object.freeze(leading.recipes.sort(byText)),
    words: Object.freeze(leading.words.sort(byText)),
    packages: Object.freeze(packages),
    tag: parseTag(tag),
  })
}

/** What stands before the packages: in any order, each once. */
function leadingOf(segments: readonly string[]) {
  const recipeNames: RecipeName[] = []
  const words: RecipeName[] = []
  const seen = new Set<string>()
  let platform: Platform | undefined
  let length = 0
  while (length < segments.length) {
    let word = segments[length] ?? ''
    const isPrefixed = word === recipePrefix
    if (isPrefixed) word = segments[length + 1] ?? ''
    if (isRecipeName(word)) {
      if (isPrefixed || word === reservedRecipe) recipeNames.push(word)
      else words.push(word)
    } else if (isPrefixed) {
      throw invalid(`\`${recipePrefix}/\` is followed by one of ${Object.keys(recipes).join(', ')}`)
    } else if (isPlatformName(word)) {
      if (platform && platform !== platforms[word]) throw invalid('an image name has at most one platform')
      platform = platforms[word]
    } else break
    if (seen.has(word)) throw invalid(`\`${word}\` is twice at the beginning of this name: write it once`)
    seen.add(word)
    length += isPrefixed ? 2 : 1
  }
  return { platform, recipes: recipeNames, words, length }
}

/** `shell/git`, or `shell/git:TAG`: as people write a name. */
export function parseImageReference(text: string): ImageRequest {
  const colon = text.lastIndexOf(':')
  return colon === -1 ? parseImageName(text) : parseImageName(text.slice(0, colon), text.slice(colon + 1))
}

/** The one name of a request: `parseImageName(formatImageName(r), r.tag)` equals `r`. */
export function formatImageName(request: ImageRequest): string {
  const platform = request.platformNamed ? [request.platform.architecture] : []
  const recipeNames = request.recipes.map((name) =>
    name === reservedRecipe ? name : `${recipePrefix}/${name}`,
  )
  // A package called `shell` or `arm64` is a package only behind one that is not.
  const ordinary = request.packages.filter((name) => !isLeading(name))
  const behind = request.packages.filter(isLeading)
  const segments = [...platform, ...recipeNames, ...request.words, ...ordinary, ...behind]
  return segments.length > 0 ? segments.join('/') : request.platform.architecture
}

/** What a tag may be, for people. */
export const tagRule =
  'a tag is 1 to 128 letters, digits, "_", "." and "-", and begins with a letter, a digit or "_"'

/** Whether the distribution spec allows it as a tag. */
export const isTag = (text: string): boolean => tagPattern.test(text)

/** Throws TAG_INVALID for what the distribution spec does not allow as a tag. */
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
