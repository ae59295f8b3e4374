import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { keyOf, type Json } from '../image/canonical.ts'
import { formatImageName, impliedPackages, type ImageRequest } from '../image/name.ts'
import { platforms, type Platform } from '../image/platform.ts'
import { combineRecipes, isRecipeName } from '../image/recipes.ts'
import { byText, parseStorePath, storePathName, type StorePath } from '../image/store-path.ts'

const storePath = z.string().transform((text) => parseStorePath(text))

/** What a name means in one revision of a package set, as it is remembered. */
const resolution = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('package'),
    /** The real attribute: `python3Packages.requests`. */
    attribute: z.string(),
    /** The same without an output at its end: `git` of `git.doc`. */
    package: z.string(),
    drvPath: storePath,
    output: z.string(),
    outputPath: storePath,
    pname: z.string(),
    version: z.string(),
  }),
  z.object({ status: z.literal('missing'), nearest: z.array(z.string()) }),
  z.object({ status: z.literal('invalid'), reason: z.string() }),
  z.object({ status: z.literal('denied'), reason: z.string() }),
])

export type Resolution = z.infer<typeof resolution>
export type ResolvedPackage = Extract<Resolution, { status: 'package' }>

/** What was remembered; undefined for what this version cannot read, which is to be found out again. */
export function parseResolution(text: string): Resolution | undefined {
  try {
    return resolution.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/**
 * The key under which a name's meaning is remembered.
 * @param policy what the package set is called with, and which names it may be asked for
 */
export const resolutionKey = (revision: string, platform: Platform, name: string, policy: Json): string =>
  keyOf('resolution', 2, { revision, system: platform.system, name, policy })

/** The names that an image asks for, and those it gets where they exist. */
export function namesOf(request: ImageRequest): { required: string[]; implied: string[] } {
  const required = new Set([...request.packages, ...combineRecipes(request.recipes).packages])
  const implied = impliedPackages.filter((name) => !required.has(name))
  return { required: [...required].sort(byText), implied }
}

/**
 * The packages of an image: each output once, sorted by what it is and not by what it was called. So the order of
 * names in a request, their case, and two names for one package make no difference.
 * @throws PACKAGE_UNKNOWN naming all missing packages and what was probably meant, PACKAGE_DENIED,
 *   PACKAGE_INVALID
 */
export function choosePackages(
  request: ImageRequest,
  resolutions: ReadonlyMap<string, Resolution>,
): ResolvedPackage[] {
  const { required, implied } = namesOf(request)
  refuseMissing(request, required, resolutions)
  refuseAll('denied', 'PACKAGE_DENIED', required, resolutions)
  refuseAll('invalid', 'PACKAGE_INVALID', required, resolutions)
  const packages = new Map<StorePath, ResolvedPackage>()
  for (const name of [...required, ...implied]) {
    const found = resolutions.get(name)
    if (found?.status !== 'package') continue
    const same = packages.get(found.outputPath)
    if (!same || byText(found.attribute, same.attribute) < 0) packages.set(found.outputPath, found)
  }
  return [...packages.values()].sort(byOutput)
}

const byOutput = (a: ResolvedPackage, b: ResolvedPackage): number =>
  byText(storePathName(a.outputPath), storePathName(b.outputPath)) || byText(a.outputPath, b.outputPath)

function refuseMissing(
  request: ImageRequest,
  names: readonly string[],
  resolutions: ReadonlyMap<string, Resolution>,
): void {
  const missing = names.filter((name) => resolutions.get(name)?.status === 'missing')
  if (missing.length === 0) return
  const misplaced = new Map(missing.map((name) => [name, withMetaFirst(request, name)]))
  const suggestions = missing.flatMap((name) => {
    const corrected = misplaced.get(name)
    if (corrected !== undefined) return [{ name, nearest: [corrected] }]
    const found = resolutions.get(name)
    return found?.status === 'missing' && found.nearest.length > 0 ? [{ name, nearest: found.nearest }] : []
  })
  const meant = suggestions.map(({ name, nearest }) =>
    misplaced.get(name) === undefined
      ? ` For ${name}, did you mean ${listed(nearest)}?`
      : ` \`${name}\` must come first: ${listed(nearest)}`,
  )
  // The first sentence is the original's, for scripts that look for it.
  throw new NixeryError(
    'PACKAGE_UNKNOWN',
    `Could not find Nix packages: [${missing.join(' ')}].${meant.join('')}`,
    {
      detail: { missing, suggestions },
    },
  )
}

function refuseAll(
  status: 'invalid' | 'denied',
  code: 'PACKAGE_INVALID' | 'PACKAGE_DENIED',
  names: readonly string[],
  resolutions: ReadonlyMap<string, Resolution>,
): void {
  const reasons = names.flatMap((name) => {
    const found = resolutions.get(name)
    return found?.status === status ? [{ name, reason: found.reason }] : []
  })
  if (reasons.length === 0) return
  const message = reasons.map(({ name, reason }) => `${name}: ${reason}`).join('\n')
  throw new NixeryError(code, message, { detail: { [status]: reasons.map(({ name }) => name) } })
}

/** The image's name with a meta-package at its beginning, if this name is one that stands behind a package. */
function withMetaFirst(request: ImageRequest, name: string): string | undefined {
  const packages = request.packages.filter((other) => other !== name)
  if (isRecipeName(name)) {
    return formatImageName({ ...request, packages, recipes: [...new Set([...request.recipes, name])] })
  }
  const platform = Object.entries(platforms).find(([architecture]) => architecture === name)?.[1]
  if (!platform || request.platformNamed) return undefined
  return formatImageName({ ...request, packages, platform, platformNamed: true })
}

const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
