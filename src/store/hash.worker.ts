import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { systemErrorCode } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'

/** A file to hash, and the answer: what it holds, or the code of the system call that failed. */
export type HashJob = { readonly id: number; readonly file: string }
export type HashAnswer = { readonly id: number } & (
  | { readonly digest: Digest; readonly size: number }
  | { readonly code: string }
)

const block = Buffer.allocUnsafeSlow(1024 * 1024)

/** Synchronous reads, one after the other: nothing else happens on this thread. */
function hashFile(file: string): { digest: Digest; size: number } {
  const hash = digester()
  const handle = openSync(file, 'r')
  try {
    let size = 0
    for (;;) {
      const length = readSync(handle, block)
      if (length === 0) return { digest: hash.digest(), size }
      hash.update(block.subarray(0, length))
      size += length
    }
  } finally {
    closeSync(handle)
  }
}

parentPort?.on('message', ({ id, file }: HashJob) => {
  let answer: HashAnswer
  try {
    answer = { id, ...hashFile(file) }
  } catch (error) {
    answer = { id, code: systemErrorCode(error) ?? String(error) }
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port's has none
  parentPort?.postMessage(answer)
})
