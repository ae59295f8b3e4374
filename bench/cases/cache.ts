import { once } from 'node:events'
import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readFile } from 'node:fs/promises'
import { execa } from 'execa'
import { atMostTimes, type Case, type Row } from '../case.ts'
import { ping, pull } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import { planImage } from '../image.ts'

const image = 'shell/git'
/** Milliseconds from a request to its response, like over the internet. */
const latency = 20
/** Targets: the time of a pull straight from a cache, relative to substitution by Nix and packing together. */
const targets = { zstd: 0.38, xz: 0.45 } as const
type Compression = keyof typeof targets

/** Serves a folder over HTTP, with latency. */
async function serveFolder(folder: string): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    void sleep(latency).then(() => {
      const file = join(folder, request.url ?? '/')
      const size = statSync(file, { throwIfNoEntry: false })?.size
      if (size === undefined) return response.writeHead(404).end()
      response.writeHead(200, { 'Content-Length': size })
      return createReadStream(file).pipe(response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** The time of a pull from a new server with an empty registry. */
async function pulled(context: Context, settings: Record<string, string>): Promise<number> {
  const server = await context.serve({ ...context.environment(await context.folder('data')), ...settings })
  await ping(server)
  const { ms } = await pull(server, image)
  await server.stop()
  return ms
}

const nixOptions = ['--option', 'build-users-group', '', '--extra-experimental-features', 'nix-command']

async function measured(context: Context, paths: readonly string[], compression: Compression): Promise<Row> {
  const folder = await context.folder(compression)
  const [secret, open] = [join(folder, 'secret'), join(folder, 'public')]
  await execa('nix-store', ['--generate-binary-cache-key', 'bench-1', secret, open])
  context.say(`making a cache with ${compression}`)
  const files = join(folder, 'cache')
  const to = `file://${files}?compression=${compression}&secret-key=${secret}`
  await execa('nix', [...nixOptions, 'copy', '--to', to, ...paths])
  const key = (await readFile(open, 'utf8')).trim()
  const served = await serveFolder(files)
  try {
    const straightBy = { NIXERY_ORIGIN: 'caches', NIXERY_SUBSTITUTERS: served.url, NIXERY_TRUSTED_KEYS: key }
    // In turns, so that other load on the machine affects both.
    const turns = await repeat(
      context.runs,
      context,
      `${image} from a cache with ${compression}`,
      async () => {
        const straight = await pulled(context, straightBy)
        const store = await context.folder('store')
        const started = performance.now()
        await execa('nix-store', [
          '--realise',
          ...paths,
          '--store',
          store,
          ...nixOptions,
          '--option',
          'substituters',
          served.url,
          '--option',
          'trusted-public-keys',
          key,
        ])
        const substituted = performance.now() - started
        return { straight, today: substituted + (await pulled(context, {})) }
      },
    )
    return {
      name: `${image} straight from a cache, ${compression}, ${latency} ms`,
      unit: 'ms',
      values: turns.map(({ straight }) => straight),
      floors: [
        { name: 'Nix’s substitution, and a pull from the store', values: turns.map(({ today }) => today) },
      ],
      target: atMostTimes(targets[compression]),
      note: `${paths.length} store paths`,
    }
  } finally {
    served.close()
  }
}

export const cache: Case = {
  name: 'cache',
  what:
    `The first pull of ${image} from a server with an empty registry that reads everything from a binary cache with a ` +
    `latency of ${latency} ms. The floor is the way without it: Nix’s substitution of the same paths from the same cache ` +
    'into an empty store, and a first pull from the store.',
  async run(context): Promise<Row[]> {
    const layers = await planImage(image, context.environment(await context.folder('data')), context.signal)
    const paths = layers.flatMap((layer) => layer.paths)
    const rows: Row[] = []
    for (const compression of ['zstd', 'xz'] as const) rows.push(await measured(context, paths, compression))
    return rows
  },
}
