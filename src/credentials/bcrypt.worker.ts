import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

/** A password to check, and whether it matches the hash; false if the hash is not valid. */
export type BcryptJob = { readonly password: string; readonly hash: string }

try {
  // On Linux this sets the priority of this thread only: threads that serve pulls come first.
  if (process.platform === 'linux') setPriority(10)
} catch {
  // a sandbox may forbid it; it is only an optimization
}

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
