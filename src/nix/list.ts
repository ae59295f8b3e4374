import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import type { License } from '../image/license.ts'
import { oneLine } from '../text/plain.ts'
import { identityFor, type LookUp } from './evaluate.ts'
import { licenseForm } from './evaluate-answer.ts'
import { evaluateExpression } from './expressions.ts'
import { messageOf } from './message.ts'
import { run, type RunOptions } from './process.ts'
import { optionsOf } from './restriction.ts'

/** A package of a package set, and its version. */
export type ListedVersion = {
  /** The attribute path, its parts joined by dots. */
  readonly attribute: string
  readonly version: string
}

export type Listed = {
  readonly versions: readonly ListedVersion[]
  /** Names of the package set that end the evaluation, with all that is under them. */
  readonly failed: readonly string[]
}

/** A package, and what a search shows of it. */
export type ListedPackage = ListedVersion & {
  readonly path: readonly string[]
  readonly pname: string
  readonly description: string | undefined
  /** The name of its main program. */
  readonly program: string | undefined
  /** As it was written: it may be no address. */
  readonly homepage: string | undefined
  readonly license: License | null
}

/** How to list packages with details. */
export type Details = {
  /** Bytes of memory for each evaluation. */
  readonly memory: number
  /** Milliseconds for each evaluation, which runs with the lowest priority. */
  readonly timeout: number
  /** Whether to leave a name of the package set out, with all that is under it: it is not evaluated. */
  readonly skip: (name: string) => boolean
  /** Gets the packages of each part of the package set, and how many of its names are done. */
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

// Evaluations of parts of a package set before what is left of them counts as failed: in addition to one for each part
// that it is divided into at first.
const mostParts = 64
// Names that are evaluated by one process, if details are asked for: they take more memory than versions alone.
const perPart = 1_500

/**
 * Lists the versions of all packages of a package set, of which nothing is instantiated or built. Nix catches most
 * failures of packages; where one ends the evaluation, the names are divided until it is found.
 * `options.timeout` and `options.memory` apply to each evaluation.
 * @param details lists the packages with details: part by part, and not in the result
 * @throws SOURCE_INVALID if the set does not evaluate, CANCELLED
 */
export async function listVersions(
  set: Omit<LookUp, 'attributes'>,
  options: RunOptions,
  details?: Details,
): Promise<Listed> {
  const limits = details && { memory: details.memory, timeout: details.timeout, lowPriority: true }
  const ask = async (list: readonly string[] | null): Promise<unknown> => {
    const asked = { attributes: [], guarded: true, list, ...(details && { details: true }) }
    const request = JSON.stringify({ ...identityFor(set), ...asked })
    const result = await run(
      'nix-instantiate',
      [
        '--eval',
        '--strict',
        '--json',
        '--read-write-mode',
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
    if (result.ok) return JSON.parse(result.stdout) as unknown
    if (list !== null) return undefined
    throw new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(result.lines)}`)
  }
  const all = names.parse(await ask(null)).filter((name) => details?.skip(name) !== true)
  const found: ListedVersion[] = []
  const failed: string[] = []
  const parts = details ? divided(all, perPart).reverse() : [all]
  const most = parts.length + mostParts
  let [count, done] = [0, 0]
  for (let part = parts.pop(); part; part = parts.pop()) {
    count += 1
    const listed = count > most ? undefined : await ask(part)
    if (listed !== undefined) {
      done += part.length
      if (details) await details.onPart(packagesOf(listed), done, all.length)
      else {
        for (const { path, version } of versions.parse(listed)) {
          found.push({ attribute: path.join('.'), version: oneLine(version, 200) })
        }
      }
    } else if (part.length < 2 || count > most) {
      failed.push(...part)
      done += part.length
    } else parts.push(part.slice(part.length >> 1), part.slice(0, part.length >> 1))
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

function divided<T>(items: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}

const noBuilds = ['--option', 'allow-import-from-derivation', 'false']
