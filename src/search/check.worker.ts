import { parentPort, workerData } from 'node:worker_threads'
import { lowerThreadPriority } from '../queue/thread-priority.ts'
import { isUndamaged } from './index-file.ts'

lowerThreadPriority(19)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
parentPort?.postMessage(isUndamaged(workerData as string))
