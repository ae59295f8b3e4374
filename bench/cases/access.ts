import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { atLeastTimes, atMostTimes, type Case, type Row } from '../case.ts'
import { repeat, type Context } from '../context.ts'
import { cores, pinTo, withChild } from '../floors.ts'
import { load, type Load } from '../load.ts'
import { cpuSeconds } from '../processes.ts'
import type { Server } from '../serve.ts'

const image = 'shell/git'
const address = ({ origin }: Server) => `${origin}/v2/${image}/manifests/latest`
const basic = `Basic ${btoa('alice:right')}`
// Made by `htpasswd -B`; checking a password takes 0.1 s.
const bcryptCost = 10
const flood = 1_000

// A rule that allows the pull, and one that does not match.
const policy = `
[[rule]]
who = ["group:none"]
may = ["pull"]
deny = ["secret-*"]

[[rule]]
who = ["user:alice"]
may = ["pull", "build"]
`

export const access: Case = {
  name: 'access',
  what:
    `The manifest of ${image} by its tag, with a token of NIXERY_AUTH=token and rules, beside NIXERY_AUTH=none: each server is ` +
    `kept on one core and wrk on another. Then the same for 8 clients while another process sends ${flood} wrong passwords a ` +
    'second, beside the same without that, on all cores.',
  async run(context): Promise<Row[]> {
    const [open, guarded] = [await serveOpen(context), await serveGuarded(context)]
    const token = await tokenOf(guarded)
    return [await costOfTokens(context, open, guarded, token), ...(await underFlood(context, guarded, token))]
  },
}

const serveOpen = async (context: Context): Promise<Server> =>
  context.serve(context.environment(await context.folder('data')))

async function serveGuarded(context: Context): Promise<Server> {
  const folder = await context.folder('access')
  await writeFile(join(folder, 'users'), `alice:${hashSync('right', bcryptCost)}\n`)
  await writeFile(join(folder, 'policy.toml'), policy)
  return context.serve({
    ...context.environment(await context.folder('data')),
    NIXERY_AUTH: 'token',
    NIXERY_HTPASSWD: join(folder, 'users'),
    NIXERY_POLICY: join(folder, 'policy.toml'),
  })
}

async function tokenOf({ origin }: Server): Promise<string> {
  const response = await fetch(`${origin}/token?scope=repository:${image}:pull`, {
    headers: { authorization: basic },
  })
  const { token } = (await response.json()) as { token: string }
  return `Bearer ${token}`
}

async function costOfTokens(
  context: Context,
  open: Server,
  guarded: Server,
  authorization: string,
): Promise<Row> {
  await Promise.all([open, guarded].map(({ pid }) => pinTo(pid, 0)))
  const how = { clients: 64, seconds: context.quick ? 1 : 3, core: cores - 1 }
  const ask = (server: Server, run: typeof how & { authorization?: string }) =>
    load(address(server), run, context.signal)
  for (const server of [open, guarded]) {
    const { status } = await fetch(address(server), { headers: { authorization } })
    if (status !== 200) throw new Error(`${image} got the status ${status}`)
    // The JIT compiler needs some hundred thousand responses to warm up: 161, 131, 94 and 86 µs in the first four runs.
    for (let run = 0; run < 4; run += 1) await ask(server, { ...how, authorization })
  }
  /** CPU time for each response, in ms. Other load on the machine does not increase it. */
  const cost = async (server: Server, run: Parameters<typeof ask>[1]): Promise<number> => {
    const before = await cpuSeconds(server.pid)
    const { rate } = await ask(server, run)
    return (((await cpuSeconds(server.pid)) - before) / (rate * how.seconds)) * 1000
  }
  const pairs = await repeat(context.runs, context, 'both servers, run', async () => ({
    token: await cost(guarded, { ...how, authorization }),
    none: await cost(open, how),
  }))
  return {
    name: 'a token, 64 clients: CPU time per response',
    unit: 'ms',
    values: pairs.map(({ token }) => token),
    floors: [{ name: 'NIXERY_AUTH=none', values: pairs.map(({ none }) => none) }],
    target: atMostTimes(1.25),
  }
}

async function underFlood(context: Context, server: Server, authorization: string): Promise<Row[]> {
  await pinTo(server.pid, `0-${cores - 1}`)
  const how = { clients: 8, seconds: context.quick ? 1 : 4, authorization }
  const measure = (what: string): Promise<Load[]> =>
    repeat(context.runs, context, `${what}, run`, () => load(address(server), how, context.signal))
  const quiet = await measure('without wrong passwords')
  const flooded = await withChild('flood', [server.origin, `${flood}`], context.signal, () =>
    measure(`${flood} wrong passwords a second`),
  )
  const row = (part: keyof Load) => ({
    values: flooded.map((each) => each[part]),
    floors: [{ name: 'without them', values: quiet.map((each) => each[part]) }],
  })
  return [
    {
      name: 'wrong passwords: responses per second',
      unit: 'requests/s',
      ...row('rate'),
      target: atLeastTimes(0.5),
    },
    {
      name: 'wrong passwords: 99th percentile of responses',
      unit: 'ms',
      ...row('p99'),
      target: atMostTimes(3),
    },
  ]
}
