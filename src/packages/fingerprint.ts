import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import pLimit from 'p-limit'
import type { Survey, WalkAnswer, WalkJob } from './walk.worker.ts'

export type { Survey } from './walk.worker.ts'

/** Milliseconds that a walk may take. A walk over an unresponsive network file system would never end. */
const longest = 120_000

/**
 * A short text that changes when a file, or anything below a folder, changes; `walk.ts` says which changes count.
 * @throws an error with the code of the failed system call; ETIMEDOUT
 */
export const fingerprint = async (path: string): Promise<string> => (await survey(path)).fingerprint

/**
 * Examines a tree. Walks run one after another in a separate thread, so that they neither block the main thread nor
 * compete for the disk. The first walk starts the thread, which does not keep the process alive.
 * @param listing the listing of a commit, from `headOf`, to compare the tree with
 * @throws as `fingerprint` does
 */
export const survey = (root: string, listing?: Uint8Array): Promise<Survey> =>
  oneAtATime(() => ask(root, listing))

const oneAtATime = pLimit(1)
let thread: Worker | undefined
let count = 0

function startThread(): Worker {
  const worker = new Worker(new URL(`walk.worker${extname(import.meta.filename)}`, import.meta.url), {
    name: 'walk',
    execArgv: [], // options of the process may not be valid for threads
  })
  // The next walk replaces a thread that has died. Pending walks have their own listeners.
  const lost = () => {
    if (thread === worker) thread = undefined
  }
  worker.on('error', lost).on('exit', lost)
  return worker
}

async function ask(root: string, listing: Uint8Array | undefined): Promise<Survey> {
  const worker = (thread ??= startThread())
  const answered = Promise.withResolvers<WalkAnswer>()
  const end = () => answered.reject(new Error('the thread that walks over folders has exited'))
  const late = setTimeout(() => {
    answered.reject(failure('ETIMEDOUT', `reading ${root} takes longer than ${longest / 1000} s`))
    if (thread === worker) thread = undefined
    void worker.terminate()
  }, longest)
  worker.on('message', answered.resolve).on('error', answered.reject).on('exit', end)
  // Only a pending walk keeps the process alive.
  worker.ref()
  try {
    const job: WalkJob = { id: (count += 1), root, listing }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a Worker has no origin
    worker.postMessage(job)
    const answer = await answered.promise
    if ('survey' in answer) return answer.survey
    throw failure(answer.code, answer.message)
  } finally {
    clearTimeout(late)
    worker.off('message', answered.resolve).off('error', answered.reject).off('exit', end)
    worker.unref()
  }
}

const failure = (code: string | undefined, message: string): Error =>
  Object.assign(new Error(message), { code })
