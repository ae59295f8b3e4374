import { z } from 'zod'
import type { License } from '../image/license.ts'
import { oneLine } from '../text/plain.ts'
import type { LookUp } from './evaluate.ts'
import { licenseForm } from './evaluate-answer.ts'
import { openLister, type Lister, type ListerPlaces, type Part } from './lister.ts'
import type { RunOptions } from './process.ts'

/** A package of a package set, and its version. */
export type ListedVersion = {
  /** The attribute path, its parts joined by dots. */
  readonly attribute: string
  readonly version: string
}

export type VersionList = {
  readonly versions: readonly ListedVersion[]
  /** Attribute paths that cannot be evaluated, each with everything below it. */
  readonly failed: readonly string[]
}

/** A package with the details that a search shows. */
export type ListedPackage = ListedVersion & {
  readonly path: readonly string[]
  readonly pname: string
  readonly description: string | undefined
  /** The name of its main program. */
  readonly program: string | undefined
  /** As written in the package set; it may not be a URL. */
  readonly homepage: string | undefined
  readonly license: License | null
}

/** Options for listing packages with details. */
export type Details = {
  /** The memory limit of each evaluation in bytes. */
  readonly memory: number
  /** The timeout of each evaluation in milliseconds; it runs with the lowest priority. */
  readonly timeout: number
  /** Whether to skip a name of the package set with everything below it, without evaluating it. */
  readonly skip: (name: string) => boolean
  /** Called with the packages of each part of the package set, and the number of finished names. */
  readonly onPart: (packages: readonly ListedPackage[], done: number, all: number) => Promise<void> | void
}

const text = z.string().nullish()
const pathForm = z.array(z.string())
const listing = z.object({
  listed: z.unknown(),
  sets: z.array(z.object({ path: pathForm, names: z.array(z.string()) })),
})
const versions = z.array(z.object({ path: pathForm, version: z.string() }))
const packages = z.array(
  z.object({
    path: pathForm,
    version: z.string(),
    pname: z.string(),
    description: text,
    program: text,
    homepage: text,
    license: licenseForm,
    available: z.boolean(),
  }),
)

// After this many processes that ended while they evaluated a part, what is left counts as failed.
const mostEnded = 250

/**
 * Lists the versions of all packages of a package set, without instantiating or building anything. Nix catches most
 * failures of packages. A name that fails in another way (`abort`, infinite recursion, a missing file) or needs too much
 * time or memory is omitted; if only the meta of a package does, the package is listed without it. `options.timeout` and
 * `options.memory` apply to each part of the package set.
 * @param details lists the packages with details: part by part, and not in the result
 * @throws SOURCE_INVALID if the set does not evaluate, CANCELLED
 */
export async function listVersions(
  set: Omit<LookUp, 'attributes'>,
  options: RunOptions,
  places: ListerPlaces,
  details?: Details,
): Promise<VersionList> {
  const limits = details && { memory: details.memory, timeout: details.timeout, lowPriority: true }
  const lister = await openLister(set, details !== undefined, { ...options, ...limits }, places)
  try {
    return await listAll(lister, details)
  } finally {
    await lister.end()
  }
}

async function listAll(lister: Lister, details?: Details): Promise<VersionList> {
  const all = lister.names.filter((name) => details?.skip(name) !== true)
  const found: ListedVersion[] = []
  const failed: string[] = []
  const parts = partsOf({ path: [], names: all }, lister.perPart)
  const fail = ({ path, names }: Part) => failed.push(...names.map((name) => [...path, name].join('.')))
  let ended = 0
  // Names of the package set itself: of those in its sets, the number is not known before.
  let done = 0
  for (let part = parts.pop(); part; part = parts.pop()) {
    const { path, names, meta = true } = part
    if (ended >= mostEnded) {
      fail(part)
      continue
    }
    const reply = await lister.list(part)
    if (reply.status === 'listed') {
      if (path.length === 0) done += names.length
      const { listed, sets } = listing.parse(reply.answer)
      for (const inner of sets) parts.push(...partsOf(inner, lister.perPart))
      if (details) await details.onPart(packagesOf(listed), done, all.length)
      else for (const each of versions.parse(listed)) found.push(versionOf(each))
      continue
    }
    if (reply.hasEnded) ended += 1
    // A package can print such a place, too.
    const known = reply.place !== undefined && reply.place < names.length ? reply.place : undefined
    const place = known ?? names.length >> 1
    const only = { ...part, names: names.slice(place, place + 1) }
    const others = [names.slice(place + 1), names.slice(0, place)].filter(({ length }) => length > 0)
    parts.push(...others.map((rest) => ({ ...part, names: rest })))
    const isAtFault = names.length === 1 || (known !== undefined && reply.isCertain)
    if (!isAtFault) parts.push(only)
    else if (details && meta) parts.push({ ...only, meta: false })
    else {
      fail(only)
      if (path.length === 0) done += 1
    }
  }
  return { versions: found, failed }
}

const packagesOf = (listed: unknown): ListedPackage[] =>
  packages.parse(listed).flatMap(({ path, version, available, pname, description, program, ...rest }) => {
    const line = (value: string | null | undefined) => (value == null ? undefined : oneLine(value, 200))
    if (!available) return []
    return {
      path,
      attribute: path.join('.'),
      version: oneLine(version, 200),
      pname: oneLine(pname, 200),
      description: line(description),
      program: line(program),
      homepage: line(rest.homepage),
      license: rest.license,
    }
  })

function versionOf({ path, version }: z.infer<typeof versions>[number]): ListedVersion {
  return { attribute: path.join('.'), version: oneLine(version, 200) }
}

/** Divides a part; the last one is the first to be listed. */
const partsOf = ({ path, names }: Part, size: number): Part[] =>
  Array.from({ length: Math.ceil(names.length / size) }, (_, index) => ({
    path,
    names: names.slice(index * size, (index + 1) * size),
  })).reverse()
