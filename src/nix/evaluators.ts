import { NixeryError } from '../errors.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { createLimiter } from '../queue/limiter.ts'
import { evaluate, tookTooLong, type Looked, type LookUp } from './evaluate.ts'
import type { Answered } from './evaluate-answer.ts'
import type { Asked, EvaluatorProcess } from './evaluator-process.ts'
import { createSlots, type ProcessState, type Slot, type SlotOptions } from './evaluator-slots.ts'
import { cancelled, type RunOptions } from './process.ts'

export type EvaluatorsOptions = Omit<SlotOptions, 'mostKept'> & {
  /** Bytes of memory that all processes together may take, those that are kept included. */
  readonly memory: number
  /** See `SlotOptions`; half of what one process may take if not said. */
  readonly mostKept?: number | undefined
  /** `warm` keeps processes with package sets loaded; `cold` starts one for each evaluation. */
  readonly evaluator: 'warm' | 'cold'
  /** How many evaluations run at once. */
  readonly concurrency: number
}

/** What there is to count. */
export type EvaluatorsState = {
  readonly processes: readonly ProcessState[]
  /** Requests answered by such a process, and those that had to be answered, if only in part, without. */
  readonly warm: number
  readonly cold: number
  readonly started: number
  /** Started in place of one that died, was late, or had grown. */
  readonly restarted: number
}

/** Answers what names mean: warm where it can, cold where it must. */
export type Evaluators = {
  /** See `evaluate.ts`. @throws OVERLOADED besides, when too many wait already */
  evaluate(lookUp: LookUp, options: EvaluationOptions): Promise<Looked[]>
  /** What processes have loaded of a revision, or think that they have written, is not to be used any more. */
  forget(revision: string): void
  state(): EvaluatorsState
  /** Ends the processes. What is asked later is answered cold. */
  close(): Promise<void>
}

/** How one evaluation is run, and how urgent it is while it waits for its turn. */
export type EvaluationOptions = RunOptions & PartialDemand

type Warm = {
  /** One a name, in order, undefined where a cold evaluation must say it; or none at all. */
  readonly answers: readonly (Looked | undefined)[] | undefined
  /** Milliseconds. */
  readonly spent: number
  readonly process: EvaluatorProcess | undefined
}

const mostAsked = 256

const nothing: Warm = { answers: undefined, spent: 0, process: undefined }

/** Milliseconds that a look-up waits behind an evaluation that is this slow before it is answered cold. */
const patience = 1_500

export function createEvaluators(options: EvaluatorsOptions): Evaluators {
  const { concurrency, memory } = options
  const limit = Math.floor(memory / concurrency)
  const evaluations = createLimiter(concurrency)
  const slots = createSlots({ ...options, mostKept: options.mostKept ?? limit / 2 })
  const count = { warm: 0, cold: 0 }
  let asked = 0

  /**
   * Runs an evaluation when there is room. Each may take its share of the memory; processes that are kept for later
   * use get what is left, and those not used for longest end where that is not enough.
   */
  const withMemory = <T>(given: EvaluationOptions, evaluation: () => Promise<T>): Promise<T> =>
    evaluations.run(async () => {
      await slots.shrink(() => memory - evaluations.running * limit)
      if (given.signal?.aborted) throw cancelled(given.signal.reason)
      return evaluation()
    }, given)

  /** Answers nothing if the evaluation that it is waiting behind is a slow one. */
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
      return await slots.turn(slot, { ...given, signal }, (start) => {
        clearTimeout(timer)
        return withMemory(given, async () => {
          const started = performance.now()
          try {
            const process = await start()
            const answers = process && (await answersOf(process, lookUp, given))
            return { answers, spent: performance.now() - started, process }
          } finally {
            slot.asked = false // before another evaluation takes this one's place
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

  async function look(lookUp: LookUp, given: EvaluationOptions): Promise<Looked[]> {
    const isWarm = options.evaluator === 'warm' && lookUp.importFromDerivation !== false
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
    // Where only the process failed, what it has loaded may have come from another state of things.
    const differs = wasAsked && cold.some(({ status }) => status !== 'failed')
    if (slot && differs && slot.process === process) slots.outdate(slot)
    let next = 0
    return lookUp.attributes.map((_, index) => {
      const answer = answers?.[index] ?? cold[next++]
      if (!answer) throw new Error('Nix gave no answer for a name')
      return answer
    })
  }

  return {
    async evaluate(lookUp, asking) {
      const given = { ...asking, memory: limit }
      if (asked >= mostAsked) {
        throw new NixeryError('OVERLOADED', `${mostAsked} evaluations are at work or wait already`, {
          hint: 'try again in a few seconds',
        })
      }
      asked += 1
      try {
        return await look(lookUp, given)
      } finally {
        asked -= 1
      }
    },
    forget: (revision) => slots.forget(revision),
    state: () => ({ processes: slots.processes(), ...count, ...slots.count }),
    close: () => slots.close(),
  }
}
/**
 * What a process says: of all names at once, or one by one if that fails, since some failures end everything.
 * @throws EVALUATION_TIMEOUT, CANCELLED
 */
async function answersOf(
  process: EvaluatorProcess,
  { attributes, limits }: LookUp,
  given: RunOptions,
): Promise<(Looked | undefined)[] | undefined> {
  const deadline = performance.now() + given.timeout
  const ask = async (asked: LookUp['attributes']): Promise<Asked> => {
    const timeout = Math.max(1, Math.ceil(deadline - performance.now()))
    const result = await process.ask({ attributes: asked, ...(limits && { limits }) }, { ...given, timeout })
    if (given.signal?.aborted) throw cancelled(given.signal.reason)
    if (result.status === 'late') throw tookTooLong(given.timeout)
    return result
  }

  const together = await ask(attributes)
  if (together.status === 'answered') return together.answers.map(told)
  if (together.status !== 'failed' || attributes.length < 2) return undefined
  const set = await ask([])
  if (set.status !== 'answered') return undefined
  const answers: (Looked | undefined)[] = []
  for (const attribute of attributes) {
    const alone = await ask([attribute])
    if (alone.status === 'ended') break
    answers.push(alone.status === 'answered' ? alone.answers.map(told)[0] : undefined)
  }
  return answers
}

/** Why one fails is for a cold evaluation to say: in the words of `nix-instantiate`. */
const told = (answered: Answered): Looked | undefined => (answered.status === 'thrown' ? undefined : answered)
