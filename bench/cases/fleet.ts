import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { ensurePrograms } from '../../scripts/install.ts'
import { startPostgres, type TestPostgres } from '../../src/postgres/testing.ts'
import { atLeastTimes, type Case, type Row } from '../case.ts'
import { ping, pullWhenReady } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import { cores, pinTo } from '../floors.ts'
import { planImage } from '../image.ts'
import { load } from '../load.ts'
import { cpuSeconds } from '../processes.ts'
import type { Server } from '../serve.ts'

const image = 'shell/git'
const address = ({ origin }: Server) => `${origin}/v2/${image}/manifests/latest`

export const fleet: Case = {
  name: 'fleet',
  what:
    `The manifest of ${image} by its tag for 64 clients, from a front end over PostgreSQL, beside a single server with the same ` +
    'image: each is kept on one core, and wrk on another. Then images that share nothing are built by two workers, each kept on ' +
    'a core of its own, beside the same by one worker on one core: from the first request to the last manifest, with all ' +
    'store paths there. The front end, PostgreSQL and the folder of blobs use the same cores.',
  async run(context): Promise<Row[]> {
    await ensurePrograms(['initdb'], context.say)
    const postgres = await startPostgres()
    try {
      return [...(await warm(context, postgres)), await packing(context, postgres)]
    } finally {
      await postgres.dispose()
    }
  },
}

type Processes = { readonly front: Server; readonly workers: readonly Server[]; stop(): Promise<void> }

/** A front end and workers over a new database and an empty store. */
async function serveFleet(
  context: Context,
  postgres: TestPostgres,
  { workers: count, settings = {} }: { workers: number; settings?: Readonly<Record<string, string>> },
): Promise<Processes> {
  const url = await postgres.database()
  const store = await context.folder('store')
  const member = async (role: string) =>
    context.serve({
      ...context.environment(await context.folder('data')),
      STORAGE_PATH: store,
      NIXERY_DATABASE_URL: url,
      NIXERY_ROLE: role,
      ...settings,
    })
  const front = await member('front')
  const workers: Server[] = []
  for (let n = 0; n < count; n += 1) workers.push(await member('worker'))
  return {
    front,
    workers,
    async stop() {
      for (const server of [front, ...workers]) await server.stop()
    },
  }
}

async function warm(context: Context, postgres: TestPostgres): Promise<Row[]> {
  const processes = await serveFleet(context, postgres, { workers: 1 })
  const single = await context.serve(context.environment(await context.folder('data')))
  const { front } = processes
  const servers = [front, single]
  for (const server of servers) await pullWhenReady(server, image, context)
  await Promise.all(servers.map(({ pid }) => pinTo(pid, 0)))
  const how = { clients: 64, seconds: context.quick ? 1 : 3, core: cores - 1 }
  const measure = async (server: Server) => {
    const before = await cpuSeconds(server.pid)
    const { rate } = await load(address(server), how, context.signal)
    return { rate, cost: (((await cpuSeconds(server.pid)) - before) / (rate * how.seconds)) * 1000 }
  }
  // The JIT compiler needs some hundred thousand responses to warm up.
  for (let run = 0; run < (context.quick ? 1 : 4); run += 1)
    for (const server of servers) await measure(server)
  const pairs = await repeat(context.runs, context, 'front end and single server, run', async () => ({
    front: await measure(front),
    single: await measure(single),
  }))
  await single.stop()
  await processes.stop()
  const row = (part: 'rate' | 'cost') => ({
    values: pairs.map((pair) => pair.front[part]),
    floors: [{ name: 'a single server', values: pairs.map((pair) => pair.single[part]) }],
  })
  return [
    {
      name: 'front end, 64 clients: responses per second',
      unit: 'requests/s',
      ...row('rate'),
      target: atLeastTimes(0.9),
    },
    // Other load on the machine makes responses slower, but does not increase their CPU time.
    { name: 'front end: CPU time per response', unit: 'ms', ...row('cost') },
  ]
}

async function packing(context: Context, postgres: TestPostgres): Promise<Row> {
  const [count, bytes] = context.quick ? [6, 8e6] : [12, 32e6]
  // Warms up the workers.
  const names = Array.from({ length: count + 4 }, (_, n) => `large${n}`)
  const set = await largePackages(context, names, bytes)
  // Two at a time, so that one is packed while the other is resolved, and each worker gets its share.
  const settings = { NIXERY_PKGS_PATH: set, NIXERY_WORKER_BUILDS: '2' }
  const environment = { ...context.environment(await context.folder('data')), ...settings }
  const layers = await planImage(names.join('/'), environment, context.signal)
  const rateOf = async (workers: number): Promise<number> => {
    const processes = await serveFleet(context, postgres, { workers, settings })
    await Promise.all(processes.workers.map(({ pid }, n) => pinTo(pid, n % cores)))
    await ping(processes.front)
    const pullAll = (some: readonly string[]) =>
      Promise.all(some.map((name) => pullWhenReady(processes.front, name, context)))
    await pullAll(names.slice(0, 4))
    const started = performance.now()
    await pullAll(names.slice(4))
    const ms = performance.now() - started
    await processes.stop()
    return (count * bytes * 1000) / ms
  }
  const pairs = await repeat(context.runs, context, 'two workers and one, run', async () => ({
    two: await rateOf(2),
    one: await rateOf(1),
  }))
  const paths = layers.flatMap((layer) => layer.paths)
  await execa('nix-store', ['--delete', ...paths], { stdin: 'ignore', reject: false })
  return {
    name: `two workers, ${count} images: built per second`,
    unit: 'bytes/s',
    values: pairs.map(({ two }) => two),
    floors: [{ name: 'one worker', values: pairs.map(({ one }) => one) }],
    target: atLeastTimes(1.6),
    note: `${(bytes / 1e6).toFixed(0)} MB each, before compression; 1.8 × if nothing else uses the cores`,
  }
}

/** Writes a package set with packages of `bytes` bytes, which compress to three quarters. */
async function largePackages(context: Context, names: readonly string[], bytes: number): Promise<string> {
  const set = await context.folder('set')
  const definitions = names.map((name) => `${name} = random "${name}";`).join('\n  ')
  await writeFile(
    join(set, 'default.nix'),
    `{ system, ... }: let
  random = name: derivation {
    inherit name system;
    builder = "/bin/sh";
    args = [ "-c" "export PATH=/usr/bin:/bin; head -c ${Math.round(bytes * 0.75)} /dev/urandom | base64 -w 0 > $out; :" ];
  };
in {
  ${definitions}
}
`,
  )
  return set
}
