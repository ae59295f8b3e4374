import { write, writeSync } from 'node:fs'
import { systemErrorCode } from '../errors.ts'

/** Where lines go. */
export type Lines = {
  write(line: string): void
  /** Writes what is left, and waits for a slow reader, two seconds at most. For a process that exits. */
  flush(): void
}

// Bytes. A reader that is slower loses lines; the server goes on.
const most = 16 * 1024 * 1024
// Milliseconds from one write of gathered lines to the next: each costs a thread a turn, however little it writes.
const pause = 5
// A pipe that is full, and does not make its writers wait, is tried again after so long (ms).
const retryAfter = 50
// How long the exiting process waits for the reader of its lines (ms).
const longestFlush = 2_000

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Writes lines to a file descriptor. The first of each turn of the event loop is written at once: a process that does
 * something and then looks, finds it. The others gather, and go together behind the back of what made them, so that
 * thousands of answers a second do not make as many system calls, and a reader that stops does not stop the server.
 */
export function createLines(fd: number): Lines {
  let waiting: string[] = []
  let size = 0
  let rest: Buffer = Buffer.alloc(0) // what the last write left
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
  /** Returns whether some is left to write. */
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
      // A socket or pipe that does not make its writers wait takes as much as it has room for.
      const deadline = performance.now() + longestFlush
      while (writeNow(gathered()) && performance.now() < deadline) Atomics.wait(sleeper, 0, 0, 1)
    },
  }
}
