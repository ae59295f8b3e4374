import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { oneLine } from '../text/plain.ts'
import { identityFor, type LookUp } from './evaluate.ts'
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

const names = z.array(z.string())
const versions = z.array(z.object({ path: z.array(z.string()), version: z.string() }))

// Evaluations of parts of a package set before what is left of them counts as failed.
const mostParts = 64

/**
 * Lists the versions of all packages of a package set, of which nothing is instantiated or built. Nix catches most
 * failures of packages; where one ends the evaluation, the names are divided until it is found.
 * `options.timeout` and `options.memory` apply to each evaluation.
 * @throws SOURCE_INVALID if the set does not evaluate, CANCELLED
 */
export async function listVersions(set: Omit<LookUp, 'attributes'>, options: RunOptions): Promise<Listed> {
  const ask = async (list: readonly string[] | null): Promise<unknown> => {
    const request = JSON.stringify({ ...identityFor(set), attributes: [], guarded: true, list })
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
      options,
    )
    if (result.ok) return JSON.parse(result.stdout) as unknown
    if (list !== null) return undefined
    throw new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(result.lines)}`)
  }
  const all = names.parse(await ask(null))
  const found: ListedVersion[] = []
  const failed: string[] = []
  const parts: (readonly string[])[] = [all]
  let count = 0
  for (let part = parts.pop(); part; part = parts.pop()) {
    count += 1
    const listed = count > mostParts ? undefined : await ask(part)
    if (listed !== undefined) {
      for (const { path, version } of versions.parse(listed)) {
        found.push({ attribute: path.join('.'), version: oneLine(version, 200) })
      }
    } else if (part.length < 2 || count > mostParts) failed.push(...part)
    else parts.push(part.slice(part.length >> 1), part.slice(0, part.length >> 1))
  }
  return { versions: found, failed }
}

const noBuilds = ['--option', 'allow-import-from-derivation', 'false']
