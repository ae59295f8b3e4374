import { atLeast, atMost, type Case, type Row } from '../case.ts'
import { ping, pull } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import { withChild } from '../floors.ts'
import { load, type Load } from '../load.ts'

const image = 'shell/git'

/** So many clients ask one address again and again, several times over. */
const loads = (context: Context, what: string, address: string, clients: number): Promise<Load[]> =>
  repeat(context.runs, context, `${what}, clients: ${clients}, run`, () =>
    load(address, { clients, seconds: context.quick ? 1 : 2 }, context.signal),
  )

export const same: Case = {
  name: 'same',
  what:
    `The manifest of ${image} by its tag, from a server that has made it, over connections that are kept. wrk asks ` +
    'from one thread on the same machine, so it takes part of a core from the server; the floor is an empty ' +
    '`node:http` handler under the same wrk. The log is on, as in production.',
  async run(context): Promise<Row[]> {
    const server = await context.serve(context.environment(await context.folder('data')))
    await ping(server)
    const before = await pull(server, image)
    const address = `${server.origin}/v2/${image}/manifests/latest`
    const rows: Row[] = []
    await withChild('empty', [], context.signal, async (port) => {
      const nothing = `http://127.0.0.1:${port}/`
      // The first second of a process is one of compiling.
      for (const each of [address, nothing]) await load(each, { clients: 8, seconds: 1 }, context.signal)
      for (const clients of [1, 8, 64]) {
        const found = await loads(context, image, address, clients)
        const empty = await loads(context, 'empty handler', nothing, clients)
        rows.push(...rowsOf(clients, found, empty))
      }
    })
    const after = await pull(server, image)
    if (after.digest !== before.digest) throw new Error(`${image} has become ${after.digest}`)
    return rows
  },
}

function rowsOf(clients: number, found: readonly Load[], empty: readonly Load[]): Row[] {
  const told = clients === 1 ? '1 client' : `${clients} clients`
  const row = (name: string, part: keyof Load): Row => ({
    name: `${told}: ${name}`,
    unit: part === 'rate' ? 'requests/s' : 'ms',
    values: found.map((each) => each[part]),
    floors: [{ name: 'empty handler', values: empty.map((each) => each[part]) }],
  })
  const rate = row('answers a second', 'rate')
  const slow = row('99 of 100 answered within', 'p99')
  return [
    clients === 64 ? { ...rate, target: atLeast(15_000) } : rate,
    row('half answered within', 'p50'),
    clients === 64 ? { ...slow, target: atMost(10) } : slow,
  ]
}
