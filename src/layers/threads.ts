import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Engine } from './engine.ts'
import type { PackFormat } from './format.ts'
import { unwanted, urgencies, type Demand } from '../queue/demand.ts'
import type { ThreadData, ThreadTask } from './pack.worker.ts'
import type { PackJob, PackOptions, PackResult } from './piece.ts'
import { createSlotMemory, slotControl } from './slots.ts'

export type ThreadOptions = {
  readonly engine: Engine
  readonly format: PackFormat
  /** How many, at least 1. */
  readonly count: number
  /** Megabytes that a thread's JavaScript may take; it dies when it wants more. */
  readonly heap?: number | undefined
  /** Milliseconds that packing one layer may take; its thread is ended then. No bound if not said. */
  readonly limit?: number | undefined
}

/** A bounded pool of packing threads. */
export type Threads = {
  /**
   * Packs a layer: the most urgent first, then the largest. The result says when its thread died.
   * @throws CANCELLED when the signal fires before a thread begins
   */
  run(job: PackJob, options?: PackOptions): Promise<PackResult>
  /** Reads the urgency of all layers again. */
  reconsider(): void
  /** Ends all threads; what was not packed has failed. */
  close(): Promise<void>
}

type Waiting = {
  readonly job: PackJob
  readonly size: number
  readonly urgency: Demand['urgency']
  readonly begin: () => void
  readonly resolve: (result: PackResult) => void
}
type Thread = {
  readonly worker: Worker
  /** Settled when its codec is loaded, or it is gone. */
  readonly loaded: Promise<void>
  readonly index: number
  doing: 'nothing' | 'helping' | 'gone' | Waiting
  /** Ends it when its layer takes too long. */
  timer?: NodeJS.Timeout
  late?: true
}

// For headers and names, which are many and soon forgotten: with Node's own 16 MB a thread collects more often.
const youngMegabytes = 64
/** What is not larger is done before anyone could help. */
const worthHelp = ({ framing }: PackFormat): number => 2 * framing.block

/** Starts the threads: a first layer then waits for no start, which takes a tenth of a second. */
export function createThreads({ engine, format, count, heap, limit }: ThreadOptions): Threads {
  const memory = createSlotMemory(count, format.framing)
  const control = slotControl(memory)
  const waiting = new Set<Waiting>() // in the order in which they came
  const threads: Thread[] = []
  let closed = false

  function start(index: number): Thread {
    const worker = new Worker(new URL(`pack.worker${extname(import.meta.filename)}`, import.meta.url), {
      name: `pack ${index}`,
      execArgv: [], // what the process was started with may not be for threads
      workerData: { engine, format, memory, thread: index } satisfies ThreadData,
      resourceLimits: {
        maxYoungGenerationSizeMb: youngMegabytes,
        ...(heap !== undefined && { maxOldGenerationSizeMb: heap }),
      },
    })
    // Only a layer keeps the process: a thread that helps may wait for long.
    worker.unref()
    const loading = Promise.withResolvers<void>()
    const thread: Thread = { worker, loaded: loading.promise, index, doing: 'nothing' }
    let reason = 'it ended'
    worker.on('message', (result: PackResult | 'loaded' | null) => {
      if (result === 'loaded') return loading.resolve()
      const { doing } = thread
      clearTimeout(thread.timer)
      thread.doing = 'nothing'
      // While the pool is closed, every thread keeps the process until it has ended: who closes it waits for that.
      if (!closed) worker.unref()
      if (result && typeof doing === 'object') doing.resolve(result)
      dispatch()
    })
    worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : String(error)
    })
    worker.on('exit', () => {
      loading.resolve()
      const { doing, late } = thread
      clearTimeout(thread.timer)
      thread.doing = 'gone'
      control.recover(index)
      if (typeof doing === 'object') {
        const step = late ? 'late' : 'thread'
        doing.resolve({ ok: false, step, code: undefined, message: reason })
      }
      dispatch()
    })
    return thread
  }

  function begin(thread: Thread, layer: Waiting) {
    // Started again only for a layer: one that cannot start fails this, and is not tried for ever.
    const alive = thread.doing === 'gone' ? start(thread.index) : thread
    threads[thread.index] = alive
    alive.doing = layer
    alive.worker.ref()
    layer.begin()
    control.setBackground(thread.index, isBackground(layer))
    if (limit !== undefined) {
      alive.timer = setTimeout(() => {
        alive.late = true
        void end(alive)
      }, limit)
    }
    say(alive, { job: layer.job })
  }

  const running = (): Waiting[] => threads.flatMap(({ doing }) => (typeof doing === 'object' ? [doing] : []))
  /** The layer to begin with. For those that a client waits for, one thread stays free of all others, and helps. */
  function next(): Waiting | undefined {
    const first = [...waiting].reduce<Waiting | undefined>(
      (best, one) => (best && !goesBefore(one, best) ? best : one),
      undefined,
    )
    if (!first || !isBackground(first)) return first
    return running().filter(isBackground).length < Math.max(1, count - 1) ? first : undefined
  }

  function dispatch() {
    if (closed) return
    for (const thread of threads.filter(({ doing }) => doing === 'nothing' || doing === 'gone')) {
      const layer = next()
      if (!layer) break
      waiting.delete(layer)
      begin(thread, layer)
    }
    // All that help are called back for a layer that could begin; those that it does not take come again.
    const help = !next() && running().some(({ size }) => size > worthHelp(format))
    control.letHelp(help)
    for (const thread of threads) {
      if (!help || thread.doing !== 'nothing') continue
      thread.doing = 'helping'
      say(thread, 'help')
    }
  }

  for (let index = 0; index < count; index++) threads.push(start(index))
  return {
    run: (job, { size = Infinity, urgency = () => urgencies.waiting, signal, onBegin } = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(unwanted(signal.reason))
        const leave = () => {
          if (waiting.delete(layer)) reject(unwanted(signal?.reason))
        }
        const onStart = () => {
          signal?.removeEventListener('abort', leave)
          onBegin?.()
        }
        const layer = { job, size, urgency, begin: onStart, resolve }
        signal?.addEventListener('abort', leave)
        waiting.add(layer)
        dispatch()
      }),
    reconsider() {
      for (const { doing, index } of threads) {
        if (typeof doing === 'object') control.setBackground(index, isBackground(doing))
      }
      if (waiting.size > 0) dispatch()
    },
    async close() {
      closed = true
      control.letHelp(false)
      await Promise.all(threads.map(end))
      for (const { resolve } of waiting) {
        resolve({ ok: false, step: 'thread', code: undefined, message: 'the pool was closed' })
      }
    },
  }
}

/** A thread that is ended while it loads a native library takes the whole process with it (koffi 3.3.4, Node 24.21). */
async function end({ worker, loaded }: Thread) {
  worker.ref()
  await loaded
  await worker.terminate()
}

const goesBefore = (one: Waiting, other: Waiting): boolean =>
  one.urgency() - other.urgency() > 0 || (one.urgency() === other.urgency() && one.size > other.size)

const isBackground = ({ urgency }: Waiting): boolean => urgency() < urgencies.waiting

function say({ worker }: Thread, task: ThreadTask) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that of a thread has none
  worker.postMessage(task)
}
