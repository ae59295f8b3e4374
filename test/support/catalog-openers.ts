import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Order, Outcome } from './catalog-opener.ts'

/** A process that opens catalogs when it is told to. */
export type Opener = {
  /** What became of it; undefined if the process was killed over it. */
  open(order: Order): Promise<Outcome | undefined>
  /** Sends SIGKILL. */
  kill(): void
  stop(): Promise<void>
}

/** Starts such a process, and returns when it waits for orders. */
export async function startOpener(): Promise<Opener> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'catalog-opener.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  child.stdin.on('error', () => {}) // it was killed: the closed output says so
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
