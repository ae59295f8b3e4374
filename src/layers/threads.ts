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
  /** The number of threads, at least 1. */
  readonly count: number
  /** The heap limit of a thread in megabytes; a thread that exceeds it dies. */
  readonly heap?: number | undefined
  /** The time limit for packing one layer, in milliseconds; then its thread is terminated. None by default. */
  readonly limit?: number | undefined
}

/** A bounded pool of packing threads. */
export type Threads = {
  /**
   * Packs a layer. Waiting layers start with the most urgent, then the largest. A dead thread is reported in the result.
   * @throws CANCELLED when the signal fires before a thread starts
   */
  run(job: PackJob, options?: PackOptions): Promise<PackResult>
  /** Reads the urgency of all layers again. */
  reconsider(): void
  /** Terminates all threads. Layers that are not finished fail. */
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
  /** Settles when the codec is loaded, or the thread has exited. */
  readonly loaded: Promise<void>
  readonly index: number
  state: 'nothing' | 'helping' | 'exited' | Waiting
  /** Terminates the thread when its layer takes too long. */
  timer?: NodeJS.Timeout
  late?: true
}

// Headers and names are many short-lived objects: with Node's default of 16 MB, threads collect garbage more often.
const youngMegabytes = 64

/** Starts the threads immediately: it takes a tenth of a second, and the first layer should not wait for it. */
export function createThreads({ engine, format, count, heap, limit }: ThreadOptions): Threads {
  const memory = createSlotMemory(count, format.framing)
  const control = slotControl(memory)
  const waiting = new Set<Waiting>() // in order of arrival
  const threads: Thread[] = []
  let closed = false

  function start(index: number): Thread {
    const worker = new Worker(new URL(`pack.worker${extname(import.meta.filename)}`, import.meta.url), {
      name: `pack ${index}`,
      execArgv: [], // options of the process may be invalid for threads
      workerData: { engine, format, memory, thread: index } satisfies ThreadData,
      resourceLimits: {
        maxYoungGenerationSizeMb: youngMegabytes,
        ...(heap !== undefined && { maxOldGenerationSizeMb: heap }),
      },
    })
    // Only a layer keeps the process alive, since a helping thread can wait for a long time.
    worker.unref()
    const loading = Promise.withResolvers<void>()
    const thread: Thread = { worker, loaded: loading.promise, index, state: 'nothing' }
    let reason = 'the thread exited'
    worker.on('message', (result: PackResult | 'loaded' | null) => {
      if (result === 'loaded') return loading.resolve()
      const { state } = thread
      clearTimeout(thread.timer)
      thread.state = 'nothing'
      // While the pool closes, threads keep the process alive until they have exited, because `close` waits for them.
      if (!closed) worker.unref()
      if (result && typeof state === 'object') state.resolve(result)
      dispatch()
    })
    worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : String(error)
    })
    worker.on('exit', () => {
      loading.resolve()
      const { state, late } = thread
      clearTimeout(thread.timer)
      thread.state = 'exited'
      control.recover(index)
      if (typeof state === 'object') {
        const step = late ? 'late' : 'thread'
        state.resolve({ ok: false, step, code: undefined, message: reason })
      }
      dispatch()
    })
    return thread
  }

  function begin(thread: Thread, layer: Waiting) {
    // Restart a thread only for a layer: if it cannot start, that layer fails, and there is no endless loop.
    const alive = thread.state === 'exited' ? start(thread.index) : thread
    threads[thread.index] = alive
    alive.state = layer
    alive.worker.ref()
    layer.begin()
    control.setBackground(thread.index, isBackground(layer))
    if (limit !== undefined) {
      alive.timer = setTimeout(() => {
        alive.late = true
        void terminate(alive)
      }, limit)
    }
    post(alive, { job: layer.job })
  }

  const running = (): Waiting[] => threads.flatMap(({ state }) => (typeof state === 'object' ? [state] : []))
  /** The next layer to pack. One thread is reserved for layers that clients wait for; while idle, it helps others. */
  function next(): Waiting | undefined {
    let first: Waiting | undefined
    for (const one of waiting) if (!first || precedes(one, first)) first = one
    if (!first || !isBackground(first)) return first
    return running().filter(isBackground).length < Math.max(1, count - 1) ? first : undefined
  }

  function dispatch() {
    if (closed) return
    for (const thread of threads.filter(({ state }) => state === 'nothing' || state === 'exited')) {
      const layer = next()
      if (!layer) break
      waiting.delete(layer)
      begin(thread, layer)
    }
    // When a layer can start, all helpers are called back, and those not needed help again.
    // Layers of up to two blocks are packed before another thread could help.
    const help = !next() && running().some(({ size }) => size > 2 * format.framing.block)
    control.letHelp(help)
    for (const thread of threads) {
      if (!help || thread.state !== 'nothing') continue
      thread.state = 'helping'
      post(thread, 'help')
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
      for (const { state, index } of threads) {
        if (typeof state === 'object') control.setBackground(index, isBackground(state))
      }
      if (waiting.size > 0) dispatch()
    },
    async close() {
      closed = true
      control.letHelp(false)
      await Promise.all(threads.map(terminate))
      for (const { resolve } of waiting) {
        resolve({ ok: false, step: 'thread', code: undefined, message: 'the pool was closed' })
      }
    },
  }
}

/** Terminates a thread after it has loaded: doing so while it loads koffi crashes the process (koffi 3.3.4, Node 24.21). */
async function terminate({ worker, loaded }: Thread) {
  worker.ref()
  await loaded
  await worker.terminate()
}

const precedes = (one: Waiting, other: Waiting): boolean =>
  one.urgency() - other.urgency() > 0 || (one.urgency() === other.urgency() && one.size > other.size)

const isBackground = ({ urgency }: Waiting): boolean => urgency() < urgencies.waiting

function post({ worker }: Thread, task: ThreadTask) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a Worker has no origin
  worker.postMessage(task)
}
