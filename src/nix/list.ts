import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import type { License } from '../image/license.ts'
import { oneLine } from '../text/plain.ts'
import { identityFor, type LookUp } from './evaluate.ts'
import { licenseForm } from './evaluate-answer.ts'
import { evaluateExpression } from './expressions.ts'
import { messageOf } from './message.ts'
import { run, type Failed, type RunOptions } from './process.ts'
import { optionsOf } from './restriction.ts'
import { configuredStore, type StoreOptions } from './scratch-store.ts'

/** A package of a package set, and its version. */
export type ListedVersion = {
  /** The attribute path, its parts joined by dots. */
  readonly attribute: string
  readonly version: string
}

export type VersionList = {
  readonly versions: readonly ListedVersion[]
  /** Names of the package set that abort the evaluation, with everything below them. */
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
const names = z.array(z.string())
const versions = z.array(z.object({ path: z.array(z.string()), version: z.string() }))
const packages = z.array(
  z.object({
    path: z.array(z.string()),
    version: z.string(),
    pname: z.string(),
    description: text,
    program: text,
    homepage: text,
    license: licenseForm,
    available: z.boolean(),
  }),
)

// After this many failed evaluations of parts of a package set, the rest counts as failed.
const mostFailures = 250
// The number of names for one process if details are requested, which need more memory than versions alone, and after a
// failure, so that not all other names are evaluated again.
const perPart = 1_500

/**
 * Lists the versions of all packages of a package set, without instantiating or building anything. Nix catches most
 * failures of packages. If a package aborts the evaluation, its name is omitted, and the others are evaluated again.
 * `options.timeout` and `options.memory` apply to each evaluation.
 * @param details lists the packages with details: part by part, and not in the result
 * @param store options for another store than the configured one
 * @throws SOURCE_INVALID if the set does not evaluate, CANCELLED
 */
export async function listVersions(
  set: Omit<LookUp, 'attributes'>,
  options: RunOptions,
  details?: Details,
  store: StoreOptions = configuredStore,
): Promise<VersionList> {
  const limits = details && { memory: details.memory, timeout: details.timeout, lowPriority: true }
  const ask = async (list: readonly string[] | null): Promise<{ readonly listed: unknown } | Failed> => {
    const listRequest = { attributes: [], guarded: true, list, ...(details && { details: true }) }
    const request = JSON.stringify({ ...identityFor(set), ...listRequest })
    const result = await run(
      'nix-instantiate',
      [
        '--eval',
        '--strict',
        '--json',
        '--read-write-mode',
        ...store.evaluation,
        ...optionsOf(set),
        ...noBuilds,
        '--expr',
        evaluateExpression,
        '--argstr',
        'request',
        request,
      ],
      { ...options, ...limits },
    )
    return result.ok ? { listed: JSON.parse(result.stdout) as unknown } : result
  }
  const top = await ask(null)
  if (!('listed' in top)) {
    throw new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(top.lines)}`)
  }
  const all = names.parse(top.listed).filter((name) => details?.skip(name) !== true)
  const found: ListedVersion[] = []
  const failed: string[] = []
  const parts = details ? divided(all, perPart).reverse() : [all]
  let [failures, done] = [0, 0]
  for (let part = parts.pop(); part; part = parts.pop()) {
    const answer = failures < mostFailures ? await ask(part) : undefined
    if (answer && 'listed' in answer) {
      done += part.length
      if (details) await details.onPart(packagesOf(answer.listed), done, all.length)
      else {
        for (const { path, version } of versions.parse(answer.listed)) {
          found.push({ attribute: path.join('.'), version: oneLine(version, 200) })
        }
      }
    } else if (!answer || part.length === 1) {
      failed.push(...part)
      done += part.length
    } else {
      failures += 1
      parts.push(...without(part, placeOf(answer, part.length)).reverse())
    }
  }
  return { versions: found, failed }
}

/** The position of the name that aborted an evaluation, in the evaluated list. */
function placeOf({ lines }: Failed, length: number): number {
  const last = lines.findLast((line) => line.startsWith(traced))
  const place = Number(last?.slice(traced.length))
  // Undefined for processes that were killed from outside.
  return Number.isInteger(place) && place < length ? place : length >> 1
}

/** Splits a list in which a name aborts the evaluation: that name alone, and the others. */
const without = (part: readonly string[], place: number): (readonly string[])[] => [
  ...divided(part.slice(0, place), perPart),
  part.slice(place, place + 1),
  ...divided(part.slice(place + 1), perPart),
]

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

function divided<T>(items: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}

// What `lookup.nix` prints before it evaluates a name.
const traced = 'trace: nixery-place '

const noBuilds = ['--option', 'allow-import-from-derivation', 'false']
