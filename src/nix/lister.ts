import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { identityFor, takesTooMuch, type LookUp } from './evaluate.ts'
import { identityOf, startEvaluator, type EvaluatorProcess } from './evaluator-process.ts'
import { makeHome } from './evaluator-slots.ts'
import { evaluateExpression } from './expressions.ts'
import { messageOf } from './message.ts'
import { memoryOf } from './process-memory.ts'
import { cancelled, giveWay, run, type Failed, type RunOptions } from './process.ts'
import { optionsOf } from './restriction.ts'
import type { ScratchStores } from './scratch-store.ts'

/** Names of a package set, or of a set in it. */
export type Part = {
  /** The attribute path of the set that has the names; empty for the package set. */
  readonly path: readonly string[]
  readonly names: readonly string[]
  /** False: what meta says of the packages is left out, and not evaluated. */
  readonly meta?: boolean
}

/** The answer of lookup.nix for a part, or why there is none. */
export type ListReply =
  | { readonly status: 'listed'; readonly answer: unknown }
  | {
      readonly status: 'failed'
      /** The index of the name that was being evaluated; undefined if unknown. */
      readonly place: number | undefined
      /**
       * Whether that name is at fault. If a process dies or is killed, it may be what the process had evaluated before.
       */
      readonly isCertain: boolean
      /** Whether the next part needs a new process. */
      readonly hasEnded: boolean
    }

/** Evaluates a package set part by part. */
export type Lister = {
  /** The names of the package set. */
  readonly names: readonly string[]
  /** How many names a part should have. */
  readonly perPart: number
  /** @throws CANCELLED, NIX_UNAVAILABLE */
  list(part: Part): Promise<ListReply>
  end(): Promise<void>
}

/** Where processes keep what they write; see `startEvaluator`. */
export type ListerPlaces = { readonly home: string; readonly scratch: ScratchStores }

type ListedSet = Omit<LookUp, 'attributes'>

/**
 * Opens a package set for listing: in a process that has it loaded and survives most failures of names, or if that is not
 * possible, in a process for each part.
 * @throws SOURCE_INVALID if the set does not evaluate, CANCELLED
 */
export async function openLister(
  set: ListedSet,
  details: boolean,
  options: RunOptions,
  places: ListerPlaces,
): Promise<Lister> {
  // `nix repl` would have to copy the flake and its inputs into a store of its own.
  const mayKeep = !('flake' in set.set && set.storeless)
  const kept = mayKeep ? await keptLister(set, details, options, places) : undefined
  return kept ?? coldLister(set, details, options, places)
}

// A failure costs the evaluation of the names before it in the same part again, though the packages themselves are kept.
const perKeptPart = 100

async function keptLister(
  set: ListedSet,
  details: boolean,
  options: RunOptions,
  places: ListerPlaces,
): Promise<Lister | undefined> {
  const identity = { ...identityOf({ ...set, attributes: [] }), importFromDerivation: false }
  let process: EvaluatorProcess | undefined
  const start = async () => {
    if (!(await makeHome(places.home))) return undefined
    const started = await startEvaluator(identity, places, options.environment)
    if (started && options.lowPriority) giveWay(started.pid)
    return started
  }
  const ask = async (list: Part | null) => {
    if (options.signal?.aborted) throw cancelled(options.signal.reason)
    if (!process?.alive()) process = await start()
    let place: number | undefined
    const onLine = (line: string) => (place = placeIn(line) ?? place)
    const reply = await process?.request(requestFor(list, details), { ...options, onLine })
    if (options.signal?.aborted) throw cancelled(options.signal.reason)
    return { reply, place }
  }
  // What a process has evaluated stays in its memory.
  const restIfGrown = async () => {
    const used = process?.alive() ? memoryOf(process.pid) : undefined
    if (used !== undefined && used > (options.memory ?? Infinity) / 2) await process?.end()
  }
  const end = async () => {
    await process?.end()
  }

  try {
    const { reply } = await ask(null)
    if (reply?.status === 'answered') {
      return {
        names: namesForm.parse(JSON.parse(reply.text)),
        perPart: perKeptPart,
        async list(part) {
          const { reply: listed, place } = await ask(part)
          // Not the fault of any name.
          if (!listed) throw new NixeryError('NIX_UNAVAILABLE', 'cannot start Nix to list the package set')
          await restIfGrown()
          if (listed.status === 'answered') return { status: 'listed', answer: JSON.parse(listed.text) }
          const hasEnded = listed.status !== 'failed'
          return { status: 'failed', place, isCertain: !hasEnded, hasEnded }
        },
        end,
      }
    }
  } catch (error) {
    await end()
    throw error
  }
  await end()
  return undefined
}

// Each process loads the package set, and one with all names would need too much memory.
const perColdPart = 1_500

async function coldLister(
  set: ListedSet,
  details: boolean,
  options: RunOptions,
  { scratch }: ListerPlaces,
): Promise<Lister> {
  const ask = (list: Part | null) =>
    scratch.with(set, async (store) => {
      const request = JSON.stringify({ ...identityFor(set), ...requestFor(list, details) })
      const flags = [
        '--eval',
        '--strict',
        '--json',
        '--read-write-mode',
        ...store.evaluation,
        ...optionsOf(set),
      ]
      const text = ['--expr', evaluateExpression, '--argstr', 'request', request]
      return run('nix-instantiate', [...flags, ...noBuilds, ...text], options)
    })
  const top = await ask(null)
  if (!top.ok) {
    throw new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(top.lines)}`)
  }
  return {
    names: namesForm.parse(JSON.parse(top.stdout)),
    perPart: perColdPart,
    async list(part) {
      const result = await ask(part)
      if (result.ok) return { status: 'listed', answer: JSON.parse(result.stdout) }
      const isCertain = result.exitCode !== undefined && !takesTooMuch(result)
      return { status: 'failed', place: placeOf(result), isCertain, hasEnded: true }
    },
    end: async () => {},
  }
}

const requestFor = (part: Part | null, details: boolean) => ({
  attributes: [],
  list: part && { path: part.path, names: part.names },
  details,
  meta: part?.meta ?? true,
})

const placeOf = ({ lines }: Failed): number | undefined =>
  lines.map(placeIn).findLast((place) => place !== undefined)

/** The index of a name in its part, which lookup.nix traces before it evaluates the name. */
function placeIn(line: string): number | undefined {
  const place = /^trace: nixery-place (\d+)$/.exec(line)?.[1]
  return place === undefined ? undefined : Number(place)
}

const namesForm = z.array(z.string())

const noBuilds = ['--option', 'allow-import-from-derivation', 'false']
