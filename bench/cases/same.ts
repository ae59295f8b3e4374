import { atLeast, atLeastTimes, atMost, type Case, type Row } from '../case.ts'
import { ping, pull, pullWhenReady } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import type { SameBytes } from '../child/same-bytes.ts'
import { cores, pinTo, withChild } from '../floors.ts'
import { mediaTypes } from '../../src/image/oci.ts'
import { load, type Load } from '../load.ts'

const image = 'shell/git'

/** Repeats a measurement of clients that request one URL. */
const loads = (context: Context, what: string, address: string, clients: number): Promise<Load[]> =>
  repeat(context.runs, context, `${what}, clients: ${clients}, run`, () =>
    load(address, { clients, seconds: context.quick ? 1 : 2 }, context.signal),
  )

export const same: Case = {
  name: 'same',
  what:
    `The manifest of ${image} by its tag, from a server that has made it, over kept-alive connections. wrk runs ` +
    'from one thread on the same machine, and so takes part of a core from the server. The floor is an empty ' +
    '`node:http` handler under the same wrk. The log is on, as in production.',
  async run(context): Promise<Row[]> {
    const server = await context.serve(context.environment(await context.folder('data')))
    await ping(server)
    const before = await pull(server, image)
    const address = `${server.origin}/v2/${image}/manifests/latest`
    const rows: Row[] = []
    await withChild('empty', [], context.signal, async (port) => {
      const nothing = `http://127.0.0.1:${port}/`
      // The JIT compiler works in the first second.
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

/**
 * The throughput relative to a bare `node:http` handler that sends the same bytes. Both servers run on the first core and
 * wrk on the last, alternately, so that other load on the machine affects both.
 */
export const bare: Case = {
  name: 'bare',
  what:
    `The manifest of ${image} by its tag for 64 clients, as in "same"; the floor is a bare \`node:http\` handler that ` +
    'sends the same headers and body. Each server is kept on one core, and wrk on another.',
  async run(context): Promise<Row[]> {
    const server = await context.serve(context.environment(await context.folder('data')))
    await pullWhenReady(server, image, context)
    const address = `${server.origin}/v2/${image}/manifests/latest`
    const answer = JSON.stringify(await sameBytes(address))
    await pinTo(server.pid, 0)
    return withChild('same-bytes', [answer], context.signal, async (port, pid) => {
      await pinTo(pid, 0)
      const floor = `http://127.0.0.1:${port}/`
      const how = { clients: 64, seconds: context.quick ? 1 : 2, core: cores - 1 }
      for (const each of [address, floor]) await load(each, how, context.signal)
      const pairs = await repeat(context.runs, context, 'both servers, run', async () => ({
        ours: await load(address, how, context.signal),
        bare: await load(floor, how, context.signal),
      }))
      return [
        {
          name: '64 clients: responses per second',
          unit: 'requests/s',
          values: pairs.map(({ ours }) => ours.rate),
          floors: [{ name: 'bare handler', values: pairs.map(({ bare: one }) => one.rate) }],
          target: atLeastTimes(0.45),
        },
      ]
    })
  },
}

/** A response to replay, without the headers that Node adds itself. */
async function sameBytes(address: string): Promise<SameBytes> {
  const response = await fetch(address, { headers: { Accept: mediaTypes.oci.manifest } })
  const added = new Set(['connection', 'date', 'keep-alive'])
  return {
    status: response.status,
    headers: Object.fromEntries([...response.headers].filter(([name]) => !added.has(name))),
    body: Buffer.from(await response.arrayBuffer()).toString('base64'),
  }
}

function rowsOf(clients: number, found: readonly Load[], empty: readonly Load[]): Row[] {
  const label = clients === 1 ? '1 client' : `${clients} clients`
  const row = (name: string, part: keyof Load): Row => ({
    name: `${label}: ${name}`,
    unit: part === 'rate' ? 'requests/s' : 'ms',
    values: found.map((each) => each[part]),
    floors: [{ name: 'empty handler', values: empty.map((each) => each[part]) }],
  })
  const rate = row('responses per second', 'rate')
  const slow = row('99th percentile', 'p99')
  return [
    clients === 64 ? { ...rate, target: atLeast(15_000) } : rate,
    row('median', 'p50'),
    clients === 64 ? { ...slow, target: atMost(10) } : slow,
  ]
}
