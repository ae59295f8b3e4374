import { parentPort } from 'node:worker_threads'
import { systemErrorCode } from '../errors.ts'
import { compare, type Hashed } from './tracked.ts'
import { walk, type Walked } from './walk.ts'

/** A tree to walk over; with `listing`, to compare with a commit as well. */
export type WalkJob = {
  readonly id: number
  readonly root: string
  readonly listing?: Uint8Array | undefined
}

/** What a tree is. */
export type Survey = {
  readonly fingerprint: string
  /**
   * Whether any later change shows in the fingerprint. A change right after another has the same time of change, as
   * file systems keep it; so nothing may have changed shortly before.
   */
  readonly settled: boolean
  /** Whether it is what the listing says. */
  readonly clean: boolean
}

/** The answer to a job, or the code of the system call that failed. */
export type WalkAnswer = { readonly id: number } & (
  | { readonly survey: Survey }
  | { readonly code: string | undefined; readonly message: string }
)

/** Kept for the tree that was compared last. */
let hashed: { readonly root: string; readonly files: Hashed } | undefined

function take({ root, listing }: WalkJob): Walked & { clean: boolean } {
  if (!listing) return { ...walk(root), clean: false }
  if (hashed?.root !== root) hashed = { root, files: new Map() }
  return compare(root, listing, hashed.files)
}

// Milliseconds that times of change are apart at least: the kernel's tick, or, of a file system that keeps whole seconds, one.
const tick = 25
const second = 1050
/** A time so far ahead comes from a clock that was wrong, and is no sign of a change now. */
const farAhead = 10_000

function isSettled(newest: bigint, began: number): { settled: boolean; wait: number } {
  const at = Number(newest / 1_000_000n)
  const apart = newest % 1_000_000_000n === 0n ? second : tick
  const settled = at + apart < began || at > began + farAhead
  return { settled, wait: Math.min(second, Math.max(1, at + apart + 1 - Date.now())) }
}

/** Once more after a moment, if something has only just changed. */
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
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port's has none
  parentPort?.postMessage(answer)
})
