import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import pLimit from 'p-limit'
import type { Survey, WalkAnswer, WalkJob } from './walk.worker.ts'

export type { Survey } from './walk.worker.ts'

/** Milliseconds that a walk may take: one over a network file system that does not answer never ends. */
const longest = 120_000

/**
 * A short text that changes when anything below a folder does, or a file: see `walk.ts` for what counts.
 * @throws what the system says when it cannot be read, with its code; ETIMEDOUT
 */
export const fingerprint = async (path: string): Promise<string> => (await survey(path)).fingerprint

/**
 * What a tree is now. Walks are taken by a thread of their own, one after another, so that they hold up nothing and
 * several never compete for the disk. The thread is started by the first one, and does not keep the process.
 * @param listing of a commit, as `headOf` has it, to compare the tree with
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
    execArgv: [], // what the process was started with may not be for threads
  })
  // A thread that is lost is started again by the next walk; whoever waits hears of it by listeners of its own.
  const lost = () => {
    if (thread === worker) thread = undefined
  }
  worker.on('error', lost).on('exit', lost)
  return worker
}

async function ask(root: string, listing: Uint8Array | undefined): Promise<Survey> {
  const worker = (thread ??= startThread())
  const answered = Promise.withResolvers<WalkAnswer>()
  const end = () => answered.reject(new Error('the thread that walks over folders ended'))
  const late = setTimeout(() => {
    answered.reject(failure('ETIMEDOUT', `reading ${root} takes longer than ${longest / 1000} s`))
    if (thread === worker) thread = undefined
    void worker.terminate()
  }, longest)
  worker.on('message', answered.resolve).on('error', answered.reject).on('exit', end)
  // Only a walk that is waited for keeps the process.
  worker.ref()
  try {
    const job: WalkJob = { id: (count += 1), root, listing }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that of a thread has none
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
