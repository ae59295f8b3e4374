import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

/** A password to check, and whether it is that of the hash; false for what is no hash. */
export type BcryptJob = { readonly password: string; readonly hash: string }

try {
  // On Linux this is the priority of this thread alone: those that serve pulls go first.
  if (process.platform === 'linux') setPriority(10)
} catch {
  // a sandbox may forbid it, and nothing depends on it
}

parentPort?.on('message', ({ password, hash }: BcryptJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port's has none
  parentPort?.postMessage(matches(password, hash))
})

function matches(password: string, hash: string): boolean {
  try {
    return compareSync(password, hash)
  } catch {
    return false // not a hash
  }
}
