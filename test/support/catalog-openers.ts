import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Order, Outcome } from './catalog-opener.ts'

/** A child process that opens catalogs on request. */
export type Opener = {
  /** The outcome; undefined if the process was killed. */
  open(order: Order): Promise<Outcome | undefined>
  /** Sends SIGKILL. */
  kill(): void
  stop(): Promise<void>
}

/** Starts an opener and waits until it is ready. */
export async function startOpener(): Promise<Opener> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'catalog-opener.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  child.stdin.on('error', () => {}) // a killed process also closes its output, which `open` reports
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return {
    async open(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`)
      const line = await lines.next()
      return line.done ? undefined : (JSON.parse(line.value) as Outcome)
    },
    kill: () => void child.kill('SIGKILL'),
    async stop() {
      child.stdin.end()
      await closed
    },
  }
}
