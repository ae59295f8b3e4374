import { NixeryError } from '../errors.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { createLimiter } from '../queue/limiter.ts'
import { evaluate, type LookupResult, type LookUp } from './evaluate.ts'
import type { RawLookupResult } from './evaluate-answer.ts'
import type { EvaluatorReply, EvaluatorProcess } from './evaluator-process.ts'
import { createSlots, type ProcessState, type Slot, type SlotOptions } from './evaluator-slots.ts'
import { cancelled, type RunOptions } from './process.ts'

export type EvaluatorsOptions = Omit<SlotOptions, 'mostKept'> & {
  /** Bytes of memory that all processes together may use, including idle ones. */
  readonly memory: number
  /** See `SlotOptions`; by default half of what one process may use. */
  readonly mostKept?: number | undefined
  /** `warm` keeps processes with loaded package sets; `cold` starts a process for each evaluation. */
  readonly evaluator: 'warm' | 'cold'
  /** How many evaluations run at once. */
  readonly concurrency: number
}

/** Counters for metrics. */
export type EvaluatorsState = {
  readonly processes: readonly ProcessState[]
  /** Requests served by a kept process, and requests served cold, at least in part. */
  readonly warm: number
  readonly cold: number
  readonly started: number
  /** Processes that replaced one that died, timed out or had grown. */
  readonly restarted: number
}

/** Looks names up: in a kept process if possible, otherwise in a new one. */
export type Evaluators = {
  /** See `evaluate.ts`. @throws also OVERLOADED if too many evaluations are waiting */
  evaluate(lookUp: LookUp, options: EvaluationOptions): Promise<LookupResult[]>
  /** Runs another evaluation, in a separate process, with its share of the memory. */
  run<T>(options: EvaluationOptions, evaluation: (options: RunOptions) => Promise<T>): Promise<T>
  /** Discards what processes have loaded of a revision, or believe to have written to the store. */
  forget(revision: string): void
  state(): EvaluatorsState
  /** Ends the processes. Later requests are served cold. */
  close(): Promise<void>
}

/** How to run an evaluation, and how urgent it is while it waits for its turn. */
export type EvaluationOptions = RunOptions & PartialDemand

type Warm = {
  /** One per name, in order; undefined entries, or an undefined list, need a cold evaluation. */
  readonly answers: readonly (LookupResult | undefined)[] | undefined
  /** Milliseconds. */
  readonly spent: number
  readonly process: EvaluatorProcess | undefined
}

const mostPending = 256

const nothing: Warm = { answers: undefined, spent: 0, process: undefined }

/** Milliseconds that a lookup waits behind another evaluation before it is served cold. */
const patience = 1_500

export function createEvaluators(options: EvaluatorsOptions): Evaluators {
  const { concurrency, memory } = options
  const limit = Math.floor(memory / concurrency)
  const evaluations = createLimiter(concurrency)
  const slots = createSlots({ ...options, mostKept: options.mostKept ?? limit / 2 })
  const count = { warm: 0, cold: 0 }
  let pending = 0

  /**
   * Runs an evaluation when there is capacity. Each gets its share of the memory. Idle processes get the rest; if that is
   * not enough, the least recently used ones are ended.
   */
  const withMemory = <T>(given: EvaluationOptions, evaluation: () => Promise<T>): Promise<T> =>
    evaluations.run(async () => {
      await slots.shrink(memory - evaluations.running * limit)
      if (given.signal?.aborted) throw cancelled(given.signal.reason)
      return evaluation()
    }, given)

  /** Returns no results if a slow evaluation is running before it. */
  async function askWarm(slot: Slot, lookUp: LookUp, given: EvaluationOptions): Promise<Warm> {
    const stuck = new AbortController()
    const queued = performance.now()
    const check = () => {
      const waits = Math.max(queued, slot.turnBegan) + patience - performance.now()
      if (waits <= 0) stuck.abort()
      else timer = setTimeout(check, waits)
    }
    let timer = setTimeout(check, patience)
    const signal = given.signal ? AbortSignal.any([given.signal, stuck.signal]) : stuck.signal
    try {
      return await slots.turn(slot, { ...given, signal }, () => {
        clearTimeout(timer)
        return withMemory(given, async () => {
          const started = performance.now()
          try {
            const process = await slots.processOf(slot)
            const answers = process && (await answersOf(process, lookUp, given))
            return { answers, spent: performance.now() - started, process }
          } finally {
            slot.busy = false // before another evaluation takes this one's place
          }
        })
      })
    } catch (error) {
      if (stuck.signal.aborted && !given.signal?.aborted) return nothing
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async function look(lookUp: LookUp, given: EvaluationOptions): Promise<LookupResult[]> {
    const { importFromDerivation = true, alone = false } = lookUp
    const isWarm = options.evaluator === 'warm' && importFromDerivation && !alone
    const slot = isWarm ? slots.slotFor(lookUp, given.environment) : undefined
    const warm = slot ? await askWarm(slot, lookUp, given) : nothing
    const { answers, spent, process } = warm
    const wasAsked = warm !== nothing
    const attributes = lookUp.attributes.filter((_, index) => answers?.[index] === undefined)
    if (answers && attributes.length === 0) {
      count.warm += 1
      return answers.filter((answer) => answer !== undefined)
    }
    count.cold += 1
    const cold = await withMemory(given, () => evaluate({ ...lookUp, attributes }, given, spent))
    // If the evaluation failed only in the kept process, what it has loaded may be out of date.
    const differs = wasAsked && cold.some(({ status }) => status !== 'failed')
    if (slot && differs && slot.process === process) slots.outdate(slot)
    let next = 0
    return lookUp.attributes.map((_, index) => {
      const answer = answers?.[index] ?? cold[next++]
      if (!answer) throw new Error('Nix gave no answer for a name')
      return answer
    })
  }

  /** Runs an evaluation unless too many are waiting. */
  async function bounded<T>(evaluation: () => Promise<T>): Promise<T> {
    if (pending >= mostPending) {
      throw new NixeryError('OVERLOADED', `too many evaluations: ${mostPending} are running or waiting`, {
        hint: 'try again in a few seconds',
      })
    }
    pending += 1
    try {
      return await evaluation()
    } finally {
      pending -= 1
    }
  }

  return {
    evaluate: (lookUp, asking) => bounded(() => look(lookUp, { ...asking, memory: limit })),
    run(asking, evaluation) {
      const given = { ...asking, memory: limit }
      return bounded(() => withMemory(given, () => evaluation(given)))
    },
    forget: (revision) => slots.forget(revision),
    state: () => ({ processes: slots.processes(), ...count, ...slots.count }),
    close: () => slots.close(),
  }
}
/**
 * Looks all names up in a process at once, or one by one if that fails, since some failures end the evaluation.
 * @returns undefined if none could be looked up, or the time was too short
 * @throws CANCELLED
 */
async function answersOf(
  process: EvaluatorProcess,
  { attributes, limits }: LookUp,
  given: RunOptions,
): Promise<(LookupResult | undefined)[] | undefined> {
  const deadline = performance.now() + given.timeout
  const ask = async (names: LookUp['attributes']): Promise<EvaluatorReply> => {
    const timeout = Math.max(1, Math.ceil(deadline - performance.now()))
    const result = await process.ask({ attributes: names, ...(limits && { limits }) }, { ...given, timeout })
    if (given.signal?.aborted) throw cancelled(given.signal.reason)
    return result
  }

  const together = await ask(attributes)
  if (together.status === 'answered') return together.answers.map(reported)
  if (together.status !== 'failed' || attributes.length < 2) return undefined
  const set = await ask([])
  if (set.status !== 'answered') return undefined
  const answers: (LookupResult | undefined)[] = []
  for (const attribute of attributes) {
    const alone = await ask([attribute])
    if (alone.status === 'late') return undefined
    if (alone.status === 'ended') break
    answers.push(alone.status === 'answered' ? alone.answers.map(reported)[0] : undefined)
  }
  return answers
}

/** For a failure, a cold evaluation gives the reason, as `nix-instantiate` reports it. */
const reported = (answered: RawLookupResult): LookupResult | undefined =>
  answered.status === 'thrown' ? undefined : answered
