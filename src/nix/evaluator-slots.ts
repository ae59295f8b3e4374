import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../errors.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { createLimiter, type Limiter } from '../queue/limiter.ts'
import { canonicalJson } from '../image/canonical.ts'
import type { LookUp } from './evaluate.ts'
import { identityOf, startEvaluator, type EvaluatorProcess, type Identity } from './evaluator-process.ts'
import { memoryOf } from './process-memory.ts'
import type { RunOptions } from './process.ts'
import { createScratchStores } from './scratch-store.ts'

export type SlotOptions = {
  /** A folder of this program's own, which is created if needed. */
  readonly home: string
  /** Bytes of memory that a process may keep from one request to the next. */
  readonly mostKept: number
  /** Requests after which a process is replaced. */
  readonly mostRequests?: number | undefined
  /** Milliseconds after which an idle process is ended. */
  readonly mostIdle?: number | undefined
}

/** Facts about a process, for metrics. */
export type ProcessState = {
  readonly revision: string
  readonly system: string
  readonly pid: number
  /** Requests it has received. */
  readonly requests: number
  /** Bytes. */
  readonly memory: number
  /** Milliseconds since the last request; 0 while it is busy. */
  readonly idle: number
}

/** Serialises the requests for one package set, system and policy; the process behind it may be replaced. */
export type Slot = {
  readonly key: string
  /** Set, system, policy and environment: the key without the revision. */
  readonly place: string
  readonly revision: string
  readonly identity: Identity
  readonly environment: RunOptions['environment']
  readonly turns: Limiter
  process: EvaluatorProcess | undefined
  starts: number
  requests: number
  /** The process must be replaced, because what it has loaded is out of date. */
  outdated: boolean
  lastUsed: number
  /** When the current or last turn began (milliseconds, `performance.now`). */
  turnBegan: number
  /** Whether the process is handling a request. */
  busy: boolean
  timer: NodeJS.Timeout | undefined
}

/** A few processes with loaded package sets, which are replaced when they have grown or are out of date. */
export type Slots = {
  /** The slot for a lookup, or undefined if there is no room for another process. */
  slotFor(lookUp: LookUp, environment: RunOptions['environment']): Slot | undefined
  /** Calls `work` when it is this caller's turn. */
  turn<T>(slot: Slot, demand: PartialDemand, work: () => Promise<T>): Promise<T>
  /** The process, for the caller whose turn it is. It is started if necessary; undefined if it cannot be started. */
  processOf(slot: Slot): Promise<EvaluatorProcess | undefined>
  /**
   * Ends idle processes, the least recently used first, until the others use at most so many bytes of memory. Resolves once
   * they have ended.
   */
  shrink(bytes: number): Promise<void>
  /** Replaces the process before the next request. */
  outdate(slot: Slot): void
  forget(revision: string): void
  processes(): ProcessState[]
  /** Processes started, and how many of them replaced another. */
  readonly count: { readonly started: number; readonly restarted: number }
  close(): Promise<void>
}

const mostSlots = 4

export function createSlots(options: SlotOptions): Slots {
  const { home, mostKept, mostRequests = 1000, mostIdle = 10 * 60_000 } = options
  const slots = new Map<string, Slot>() // the most recently used is last
  const processes = new Map<EvaluatorProcess, Slot>()
  const scratch = createScratchStores(home)
  const count = { started: 0, restarted: 0 }
  let closed = false

  const isBusy = ({ turns }: Slot) => turns.running + turns.waiting > 0
  const endProcess = (slot: Slot) => {
    const { process } = slot
    slot.process = undefined
    void process?.end().then(() => processes.delete(process))
  }
  const outdate = (slot: Slot) => {
    slot.outdated = true
    if (!isBusy(slot)) endProcess(slot)
  }
  const drop = (slot: Slot) => {
    slots.delete(slot.key)
    outdate(slot)
  }

  async function processOf(slot: Slot): Promise<EvaluatorProcess | undefined> {
    slot.busy = true
    if (slot.outdated || !slot.process?.alive()) endProcess(slot)
    if (slot.process) {
      slot.requests += 1
      return slot.process
    }
    if (!(await makeHome(home)) || closed) return undefined
    const process = await startEvaluator(slot.identity, { home, scratch }, slot.environment)
    if (!process) return undefined
    processes.set(process, slot)
    slot.process = process
    if (closed) endProcess(slot)
    slot.requests = 1
    slot.outdated = false
    count.started += 1
    if (slot.starts > 0) count.restarted += 1
    slot.starts += 1
    return slot.process
  }

  function afterUse(slot: Slot) {
    slot.lastUsed = performance.now()
    const grown = slot.process && (memoryOf(slot.process.pid) ?? 0) > mostKept
    const dropped = slots.get(slot.key) !== slot
    if (dropped || slot.outdated || grown || slot.requests >= mostRequests) endProcess(slot)
    clearTimeout(slot.timer)
    const rest = () => !isBusy(slot) && endProcess(slot)
    slot.timer = setTimeout(rest, mostIdle).unref()
  }

  return {
    count,
    outdate,
    processOf,
    slotFor(lookUp, environment) {
      const { revision } = lookUp
      if (closed || revision === undefined) return undefined
      const identity = identityOf(lookUp)
      const place = canonicalJson({ ...identity, restriction: identity.restriction ?? null, environment })
      const key = canonicalJson([place, revision])
      let slot = slots.get(key)
      if (slot) {
        slots.delete(key)
      } else {
        // Earlier revisions of a changed folder are not requested again.
        for (const old of slots.values()) if (old.place === place) drop(old)
        if (slots.size >= mostSlots) {
          const resting = slots.values().find((other) => !isBusy(other))
          if (!resting) return undefined
          drop(resting)
        }
        slot = {
          key,
          place,
          revision,
          identity,
          environment,
          turns: createLimiter(1),
          process: undefined,
          starts: 0,
          requests: 0,
          outdated: false,
          lastUsed: 0,
          turnBegan: 0,
          busy: false,
          timer: undefined,
        }
      }
      slots.set(key, slot)
      return slot
    },

    turn(slot, demand, work) {
      return slot.turns.run(async () => {
        slot.turnBegan = performance.now()
        try {
          return await work()
        } finally {
          afterUse(slot)
        }
      }, demand)
    },

    async shrink(bytes) {
      const resting = [...processes]
        .filter(([process, slot]) => !(slot.busy && slot.process === process))
        .map(([process, slot]) => ({ process, slot, memory: memoryOf(process.pid) ?? 0 }))
        .sort((a, b) => a.slot.lastUsed - b.slot.lastUsed)
      let sum = resting.reduce((all, { memory }) => all + memory, 0)
      const ending: Promise<void>[] = []
      for (const { process, slot, memory } of resting) {
        if (sum <= bytes) break
        sum -= memory
        if (slot.process === process) endProcess(slot)
        ending.push(process.end())
      }
      await Promise.all(ending)
    },

    forget(revision) {
      for (const slot of slots.values()) if (slot.revision === revision) outdate(slot)
    },

    processes: () =>
      [...processes]
        .filter(([process]) => process.alive())
        .map(([{ pid }, slot]) => ({
          revision: slot.revision,
          system: slot.identity.system,
          pid,
          requests: slot.requests,
          memory: memoryOf(pid) ?? 0,
          idle: isBusy(slot) ? 0 : performance.now() - slot.lastUsed,
        })),

    async close() {
      closed = true
      for (const slot of slots.values()) clearTimeout(slot.timer)
      slots.clear()
      await Promise.all([...processes.keys()].map((process) => process.end()))
    },
  }
}

/** Creates a home folder in which `nix repl` can keep no history. Without a writable folder, Nix 2.8 does not start. */
export async function makeHome(home: string): Promise<boolean> {
  const history = join(home, 'nix', 'repl-history')
  try {
    await mkdir(join(home, 'nix'), { recursive: true })
    await symlink('/dev/null', history)
    return true
  } catch (error) {
    return systemErrorCode(error) === 'EEXIST'
  }
}
