import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'
import { lowerThreadPriority } from '../queue/thread-priority.ts'

/** A password to check, and whether it matches the hash; false if the hash is not valid. */
export type BcryptJob = { readonly password: string; readonly hash: string }

// Threads that serve pulls come first.
lowerThreadPriority(10)

parentPort?.on('message', ({ password, hash }: BcryptJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
  parentPort?.postMessage(matches(password, hash))
})

function matches(password: string, hash: string): boolean {
  try {
    return compareSync(password, hash)
  } catch {
    return false // not a hash
  }
}
