import { write, writeSync } from 'node:fs'
import { systemErrorCode } from '../errors.ts'

/** A destination for log lines. */
export type Lines = {
  write(line: string): void
  /** Writes the remaining lines, and waits at most two seconds for a slow reader. Called when the process exits. */
  flush(): void
}

// Bytes. A slower reader loses lines, but the server continues.
const most = 16 * 1024 * 1024
// Milliseconds between writes of buffered lines: each write costs a thread switch, however short it is.
const pause = 5
// The delay (ms) before writing to a full non-blocking pipe again.
const retryAfter = 50
// How long the exiting process waits for the reader (ms).
const longestFlush = 2_000

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Writes lines to a file descriptor. The first line of each turn of the event loop is written synchronously, so that it
 * is visible at once. The others are buffered and written together asynchronously, so that thousands of responses a
 * second do not cause as many system calls, and a stalled reader does not block the server.
 */
export function createLines(fd: number): Lines {
  let waiting: string[] = []
  let size = 0
  let rest: Buffer = Buffer.alloc(0) // the rest of the last write
  let writing = false
  let timer: NodeJS.Timeout | undefined
  let turn = false
  let broken = false

  const failed = (error: unknown): void => {
    if (systemErrorCode(error) !== 'EAGAIN') broken = true // no reader, and nowhere to report that
  }
  const gathered = (): Buffer => {
    const bytes = Buffer.concat([rest, Buffer.from(waiting.join(''))])
    rest = Buffer.alloc(0)
    waiting = []
    size = 0
    return bytes
  }
  const pumpAfter = (ms: number): void => {
    timer ??= setTimeout(() => {
      timer = undefined
      pump()
    }, ms).unref()
  }
  const pump = (): void => {
    if (writing || broken || timer) return
    const bytes = gathered()
    if (bytes.length === 0) return
    writing = true
    write(fd, bytes, 0, bytes.length, null, (error, written) => {
      writing = false
      if (error) failed(error)
      rest = bytes.subarray(error ? 0 : written)
      if (error || size > 0 || rest.length > 0) pumpAfter(error ? retryAfter : pause)
    })
  }
  /** Returns whether anything is left to write. */
  const writeNow = (bytes: Buffer): boolean => {
    try {
      rest = bytes.subarray(writeSync(fd, bytes))
    } catch (error) {
      failed(error)
      rest = bytes
    }
    return !broken && rest.length > 0
  }
  const endTurn = (): void => {
    turn = false
    if (size > 0 || rest.length > 0) pumpAfter(pause)
  }

  return {
    write(line) {
      if (broken || size + rest.length > most) return
      if (!turn) setImmediate(endTurn)
      if (!turn && !writing && size === 0 && rest.length === 0) writeNow(Buffer.from(line))
      else {
        waiting.push(line)
        size += line.length
      }
      turn = true
    },
    flush() {
      // A non-blocking socket or pipe accepts only as much as fits its buffer.
      const deadline = performance.now() + longestFlush
      while (writeNow(gathered()) && performance.now() < deadline) Atomics.wait(sleeper, 0, 0, 1)
    },
  }
}
