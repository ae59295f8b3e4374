import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../errors.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { createLimiter, type Limiter } from '../queue/limiter.ts'
import { canonicalJson } from '../image/canonical.ts'
import type { LookUp } from './evaluate.ts'
import { startEvaluator, type EvaluatorProcess, type Identity } from './evaluator-process.ts'
import { memoryOf } from './process-memory.ts'
import type { RunOptions } from './process.ts'

export type SlotOptions = {
  /** A folder that is this program's own. It need not be there. */
  readonly home: string
  /** Bytes of memory that a process may keep from one request to the next. */
  readonly mostKept: number
  /** Requests after which a process is replaced. */
  readonly mostRequests?: number | undefined
  /** Milliseconds after which one that nobody asks ends. */
  readonly mostIdle?: number | undefined
}

/** What there is to tell of a process. */
export type ProcessState = {
  readonly revision: string
  readonly system: string
  readonly pid: number
  /** That it was asked. */
  readonly requests: number
  /** Bytes. */
  readonly memory: number
  /** Milliseconds since it was last asked; 0 while it is at work. */
  readonly idle: number
}

/** What asks one package set, system and policy: one at a time, and which process is of no matter. */
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
  /** What the process has loaded is not to be used any more. */
  outdated: boolean
  lastUsed: number
  /** When the turn began that is taken now, or the last one (milliseconds, `performance.now`). */
  turnBegan: number
  /** Whether the process is being asked. */
  asked: boolean
  timer: NodeJS.Timeout | undefined
}

/** Processes with package sets loaded: few, replaced when they have grown or are not right any more. */
export type Slots = {
  /** Where a look-up may be answered, if there is room for one more. */
  slotFor(lookUp: LookUp, environment: RunOptions['environment']): Slot | undefined
  /**
   * Calls `work` when it is this one's turn. It may ask for the process, which is started if it is not there, and
   * is undefined if it cannot be.
   */
  turn<T>(
    slot: Slot,
    demand: PartialDemand,
    work: (start: () => Promise<EvaluatorProcess | undefined>) => Promise<T>,
  ): Promise<T>
  /**
   * Ends processes that are not being asked, the one not used for longest first, until the others take no more than
   * `bytes` says; comes back when they have ended.
   */
  shrink(bytes: () => number): Promise<void>
  /** The process is replaced before anything else is asked. */
  outdate(slot: Slot): void
  forget(revision: string): void
  processes(): ProcessState[]
  /** Processes started, and those of them that took the place of another. */
  readonly count: { readonly started: number; readonly restarted: number }
  close(): Promise<void>
}

const mostSlots = 4

export function createSlots(options: SlotOptions): Slots {
  const { home, mostKept, mostRequests = 1000, mostIdle = 10 * 60_000 } = options
  const slots = new Map<string, Slot>() // the one last used is the last
  const processes = new Map<EvaluatorProcess, Slot>()
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
    slot.asked = true
    if (slot.outdated || !slot.process?.alive()) endProcess(slot)
    if (slot.process) {
      slot.requests += 1
      return slot.process
    }
    if (!(await makeHome(home)) || closed) return undefined
    slot.process = startEvaluator(slot.identity, home, slot.environment)
    if (!slot.process) return undefined
    processes.set(slot.process, slot)
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
    slotFor({ set, revision, system, restriction, configFile, config = {}, overlays = [] }, environment) {
      if (closed || revision === undefined) return undefined
      const identity = {
        set,
        system,
        restriction,
        config,
        ...(configFile !== undefined && { configFile }),
        overlays,
      }
      const place = canonicalJson({ ...identity, restriction: restriction ?? null, environment })
      const key = canonicalJson([place, revision])
      let slot = slots.get(key)
      if (slot) {
        slots.delete(key)
      } else {
        // Of a folder that has changed, nobody asks for what it was.
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
          asked: false,
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
          return await work(() => processOf(slot))
        } finally {
          afterUse(slot)
        }
      }, demand)
    },

    async shrink(bytes) {
      const resting = [...processes]
        .filter(([process, slot]) => !(slot.asked && slot.process === process))
        .map(([process, slot]) => ({ process, slot, memory: memoryOf(process.pid) ?? 0 }))
        .sort((a, b) => a.slot.lastUsed - b.slot.lastUsed)
      let sum = resting.reduce((all, { memory }) => all + memory, 0)
      const ending: Promise<void>[] = []
      for (const { process, slot, memory } of resting) {
        if (sum <= bytes()) break
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

/** Where `nix repl` keeps what was typed: nowhere. Without a folder that it can write, 2.8 does not start. */
async function makeHome(home: string): Promise<boolean> {
  const history = join(home, 'nix', 'repl-history')
  try {
    await mkdir(join(home, 'nix'), { recursive: true })
    await symlink('/dev/null', history)
    return true
  } catch (error) {
    return systemErrorCode(error) === 'EEXIST'
  }
}
