import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { systemErrorCode } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'

/** A file to hash, and the result: its digest and size, or the code of the failed system call. */
export type HashJob = { readonly id: number; readonly file: string }
export type HashResult = { readonly id: number } & (
  | { readonly digest: Digest; readonly size: number }
  | { readonly code: string }
)

const block = Buffer.allocUnsafeSlow(1024 * 1024)

/** Hashes a file with synchronous reads; this thread does nothing else. */
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
  let result: HashResult
  try {
    result = { id, ...hashFile(file) }
  } catch (error) {
    result = { id, code: systemErrorCode(error) ?? String(error) }
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
  parentPort?.postMessage(result)
})
