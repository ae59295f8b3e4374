import { parentPort } from 'node:worker_threads'
import { systemErrorCode } from '../errors.ts'
import { compare, type Hashed } from './tracked.ts'
import { createWalkTogether } from './walk-together.ts'
import type { TreeState } from './walk.ts'

/** A tree to walk over and, if `listing` is set, to compare with a commit. */
export type WalkJob = {
  readonly id: number
  readonly root: string
  readonly listing?: Uint8Array | undefined
}

/** The state of a tree. */
export type Survey = {
  readonly fingerprint: string
  /**
   * Whether any later change will change the fingerprint. Two changes in quick succession may have the same ctime, so
   * nothing may have changed just before the walk.
   */
  readonly settled: boolean
  /** Whether the tree matches the listing. */
  readonly clean: boolean
}

/** The result of a job, or the code of the failed system call. */
export type WalkAnswer = { readonly id: number } & (
  | { readonly survey: Survey }
  | { readonly code: string | undefined; readonly message: string }
)

/** Kept for the last compared tree only. */
let hashed: { readonly root: string; readonly files: Hashed } | undefined

const walkTogether = createWalkTogether()

function take({ root, listing }: WalkJob): TreeState & { clean: boolean } {
  if (!listing) return { ...walkTogether(root), clean: false }
  if (hashed?.root !== root) hashed = { root, files: new Map() }
  return compare(root, listing, hashed.files)
}

// Milliseconds. The resolution of ctimes: the kernel's tick, or a second on file systems that store whole seconds.
const tick = 25
const second = 1050
/** Milliseconds. A ctime further in the future comes from a clock that was wrong, not from a recent change. */
const farAhead = 10_000

function isSettled(newest: bigint, began: number): { settled: boolean; wait: number } {
  const at = Number(newest / 1_000_000n)
  const apart = newest % 1_000_000_000n === 0n ? second : tick
  const settled = at + apart < began || at > began + farAhead
  return { settled, wait: Math.min(second, Math.max(1, at + apart + 1 - Date.now())) }
}

/** Walks again after a moment if something has just changed. */
function survey(job: WalkJob): Survey {
  for (let attempt = 1; ; attempt += 1) {
    const began = Date.now()
    const { fingerprint, newest, clean } = take(job)
    const { settled, wait } = isSettled(newest, began)
    if (settled || attempt === 2) return { fingerprint, settled, clean }
    Atomics.wait(pause, 0, 0, wait)
  }
}
const pause = new Int32Array(new SharedArrayBuffer(4))

parentPort?.on('message', (job: WalkJob) => {
  let answer: WalkAnswer
  try {
    answer = { id: job.id, survey: survey(job) }
  } catch (error) {
    answer = { id: job.id, code: systemErrorCode(error), message: String(error) }
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
  parentPort?.postMessage(answer)
})
