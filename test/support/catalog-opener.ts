import { createInterface } from 'node:readline'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { beforeStatements } from './statements.ts'
import { testKey } from '../../src/catalog/keys-testing.ts'

/** What the program below reads, as a line of JSON: a catalog to open, and to remember an image in. */
export type Order = {
  readonly file: string
  readonly image: string
  /** Before which of its statements, counted from 1, the process kills itself. */
  readonly killAt?: number
}
/** What it answers: the failure, or undefined, and what the catalog warned of. */
export type Outcome = { readonly failure?: string; readonly warnings: readonly string[] }

// Run as a program: a process of its own, which opens one catalog after another.
if (process.argv[1] === import.meta.filename) {
  let statements = 0
  let killAt: number | undefined
  beforeStatements(() => {
    statements += 1
    if (statements === killAt) process.kill(process.pid, 'SIGKILL')
  })

  process.stdout.write('ready\n')
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as Order
    statements = 0
    killAt = order.killAt
    const warnings: string[] = []
    let failure: string | undefined
    try {
      const catalog = await openSqliteCatalog(order.file, { warn: (text) => warnings.push(text) })
      await catalog.rememberImage(testKey(order.image), {}, 100)
      await catalog.close()
    } catch (error) {
      failure = error instanceof Error ? `${error.message}: ${String(error.cause)}` : String(error)
    }
    const outcome: Outcome = { ...(failure !== undefined && { failure }), warnings }
    process.stdout.write(`${JSON.stringify(outcome)}\n`)
  }
}
