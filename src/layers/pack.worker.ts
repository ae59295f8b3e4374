import { parentPort, workerData } from 'node:worker_threads'
import { openReading } from '../contents/source.ts'
import { openCodec } from './codec.ts'
import type { Engine } from './engine.ts'
import type { PackFormat } from './format.ts'
import { packLayer } from './layer.ts'
import type { PackJob } from './piece.ts'
import { lowerThreadPriority } from '../queue/thread-priority.ts'
import { openSlots, type SlotMemory } from './slots.ts'

/** The data that a packing thread starts with; `thread` is its number. */
export type ThreadData = {
  readonly engine: Engine
  readonly format: PackFormat
  readonly memory: SlotMemory
  readonly thread: number
}

/** A message to a thread: pack a layer, or help other threads. The reply is the result, or null after helping. */
export type ThreadTask = { readonly job: PackJob } | 'help'

const { engine, format, memory, thread } = workerData as ThreadData
// The main thread runs at once when a packing thread has its core: otherwise every response, and every file to be packed
// next, waits for a few milliseconds.
lowerThreadPriority(5)
const codec = await openCodec(engine)
const slots = openSlots(memory, thread, codec)
const readPath = await openReading()

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
parentPort?.postMessage('loaded')
parentPort?.on('message', (task: ThreadTask) => {
  if (task === 'help') slots.help()
  const result = task === 'help' ? null : packLayer(task.job, { slots, codec, format, readPath })
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
  parentPort?.postMessage(result)
})
