import { createInterface } from 'node:readline'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { beforeStatements } from './statements.ts'
import { testKey } from '../../src/catalog/keys-testing.ts'

/** A line of JSON that the program below reads: the catalog to open, and the image to store in it. */
export type Order = {
  readonly file: string
  readonly image: string
  /** The number of the statement, counted from 1, before which the process kills itself. */
  readonly killAt?: number
}
/** The program's response: the failure, if any, and the catalog's warnings. */
export type Outcome = { readonly failure?: string; readonly warnings: readonly string[] }

// When run as a program, opens one catalog after another.
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
