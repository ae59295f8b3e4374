import { mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import {
  keepBinaryCache,
  makeBinaryCache,
  narFiles,
  nixOptions,
  removeStore,
  substitute,
  throughLink,
  type BinaryCache,
  type Compression,
} from '../binary-cache.ts'
import { atMost, atMostTimes, type Case, type Row } from '../case.ts'
import { ping, pullWhenReady } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import { cores, expandAlone, packAlone } from '../floors.ts'
import { writeEverything } from '../everything.ts'
import { planImage } from '../image.ts'
import { cpuSeconds, memoryOf } from '../processes.ts'
import { makeNoise, makeTrees, seeded } from '../seed.ts'
import type { Server } from '../serve.ts'

/** The round trip in ms and the rate in bytes per second, as over the internet. */
const line = { roundTrip: 20, rate: 125e6 }
const described = `${line.roundTrip} ms, 1 Gbit/s`

/** A measurement: an image, the compression of its cache, and the target relative to Nix plus packing. */
type Subject = {
  readonly image: string
  readonly compression: Compression
  readonly limit: number
  /** Whether to run it once: figures hardly vary between runs, each of which takes half a minute. */
  readonly isLarge?: true
  /** Whether making its cache takes minutes, the first time. */
  readonly isSlow?: true
}

const subjects: readonly Subject[] = [
  { image: 'bash/coreutils/git', compression: 'zstd', limit: 0.38 },
  { image: 'bash/coreutils/git', compression: 'xz', limit: 0.45 },
  { image: 'everything', compression: 'zstd', limit: 0.45, isLarge: true },
  { image: 'everything', compression: 'xz', limit: 0.6, isLarge: true, isSlow: true },
]

type Pull = {
  /** The time from evaluated to finished, and the part of it until paths are located or realised, in ms. */
  readonly ms: number
  readonly realise: number
  /** The CPU time of the server from the request to the response, in ms. */
  readonly cpu: number
}

/** The environment of a server that has the demo packages and `everything`. */
const environmentWith = (context: Context, data: string, set: string): Record<string, string> => ({
  ...context.environment(data),
  NIXERY_PKGS_PATH: set,
})

/** The first pull of an image by a server that was just started with an empty registry. */
async function pulled(
  context: Context,
  { set, image }: { readonly set: string; readonly image: string },
  settings: Record<string, string>,
): Promise<Pull> {
  const data = await context.folder('data')
  const server = await context.serve({ ...environmentWith(context, data, set), ...settings })
  await ping(server)
  const before = await cpuSeconds(server.pid)
  await pullWhenReady(server, image, context)
  const cpu = 1000 * ((await cpuSeconds(server.pid)) - before)
  const log = await server.log()
  await server.stop()
  await rm(data, { recursive: true })
  const msOf = (what: string) => Number(log.findLast(({ msg }) => msg === what)?.['ms'])
  return { ms: msOf('build finished') - msOf('packages resolved'), realise: msOf('packages realised'), cpu }
}

const directlyFrom = (url: string, key: string) => ({
  NIXERY_ORIGIN: 'caches',
  NIXERY_SUBSTITUTERS: url,
  NIXERY_TRUSTED_KEYS: key,
})

async function measured(
  context: Context,
  set: string,
  { image, compression, limit, isLarge }: Subject,
): Promise<Row[]> {
  const environment = environmentWith(context, await context.folder('data'), set)
  context.say(`planning ${image}`)
  const layers = await planImage(image, environment, context.signal)
  const paths = layers.flatMap((layer) => layer.paths)
  const made = await keepBinaryCache(context, image.replaceAll('/', '-'), paths, compression)
  const files = await narFiles(made)
  const what = `${paths.length} paths from a cache with ${compression}`
  const times = isLarge ? Math.min(context.runs, 3) : context.runs
  // Alternates, so that other load on the machine affects all.
  const turns = await throughLink(context, made, line, (url, cpuOfLine) =>
    repeat(times, context, what, async () => {
      const before = await cpuOfLine()
      const direct = await pulled(context, { set, image }, directlyFrom(url, made.key))
      const ofLine = (await cpuOfLine()) - before
      const substituted = await substitute(context, paths, url, made.key)
      const packed = await pulled(context, { set, image }, {})
      const expanding = await expandAlone({ files, compression }, context.signal)
      const hashing = await expandAlone({ files, compression, isHashed: true }, context.signal)
      const packing = await packAlone({ layers, rounds: 1, warm: false }, environment, context.signal)
      const work = expanding.cpu + (packing.cpu[0] ?? NaN)
      const hashed = hashing.cpu + (packing.cpu[0] ?? NaN)
      return {
        direct: direct.ms,
        cpu: direct.cpu,
        viaNix: substituted + packed.ms - packed.realise,
        work,
        hashed,
        onCores: work / cores,
        onCoresHashed: hashed / cores,
        onCoresWithLine: (hashed + ofLine) / cores,
        bytes: expanding.bytes,
      }
    }),
  )
  const of = (part: keyof (typeof turns)[number]) => turns.map((turn) => turn[part])
  const ratios = turns.map(({ direct, viaNix }) => direct / viaNix)
  const megabytes = Math.round((turns[0]?.bytes ?? NaN) / 1e6)
  const name = `${paths.length} paths, ${compression}, ${described}`
  return [
    {
      name: `${name}: directly from the cache`,
      unit: 'ms',
      values: of('direct'),
      floors: [{ name: 'Nix’s substitution, then packing', values: of('viaNix') }],
      target: atMostTimes(limit),
      note: `${megabytes} MB of NARs; from ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)} ×`,
    },
    {
      name: `  the same, relative to its CPU time`,
      unit: 'ms',
      values: of('direct'),
      floors: [
        { name: `CPU time of expanding and of packing, ÷ ${cores} cores`, values: of('onCores') },
        { name: 'with NarHash and FileHash, which must be verified', values: of('onCoresHashed') },
        { name: 'and with nginx and the line, which use the same cores', values: of('onCoresWithLine') },
      ],
      target: atMostTimes(1.3),
    },
    {
      name: '  CPU time of the server',
      unit: 'ms',
      values: of('cpu'),
      floors: [
        { name: 'CPU time of expanding and of packing', values: of('work') },
        { name: 'with NarHash and FileHash', values: of('hashed') },
      ],
      note: 'from the request to the response, including evaluation; depends little on other load',
    },
  ]
}

/** A package set of incompressible folders, a cache with them, and the image of all. */
async function noisy(
  context: Context,
  bytes: number,
): Promise<{ set: string; image: string; made: BinaryCache }> {
  const [folder, store, set] = [
    await context.folder('trees'),
    await context.folder('store'),
    await context.folder('set'),
  ]
  context.say(`writing ${bytes / 1e9} GB`)
  const trees = makeTrees(folder, { count: 30, bytes }, seeded(11), makeNoise)
  const options = { cancelSignal: context.signal }
  const add = ['--add', ...trees.map(({ path }) => path), '--store', store, ...nixOptions]
  const paths = (await execa('nix-store', add, options)).stdout.split('\n')
  const query = ['--query', '--hash', ...paths, '--store', store, ...nixOptions]
  const hashes = (await execa('nix-store', query, options)).stdout.split('\n')
  await rm(folder, { recursive: true })
  const made = await makeBinaryCache(context, await context.folder('zstd'), paths, 'zstd', store)
  await removeStore(store)
  const packages = trees.map(({ path }, index) => {
    const name = basename(path)
    // A fixed-output derivation has the same store path as its folder when added to the store.
    return `t${index} = derivation { name = "${name}"; system = "x86_64-linux"; builder = "none";
      outputHashMode = "recursive"; outputHash = "${hashes[index] ?? ''}"; };`
  })
  await mkdir(set, { recursive: true })
  await writeFile(join(set, 'default.nix'), `{ ... }: {\n${packages.join('\n')}\n}\n`)
  return { set, image: trees.map((_, index) => `t${index}`).join('/'), made }
}

/** The memory of a server before a pull and its peak during the pull, in bytes. */
async function memoryDuring(server: Server, work: () => Promise<unknown>) {
  const idle = (await memoryOf(server.pid)).now
  await writeFile(`/proc/${server.pid}/clear_refs`, '5') // resets the peak (proc(5))
  await work()
  return { idle, peak: (await memoryOf(server.pid)).peak }
}

async function memoryRow(context: Context): Promise<Row> {
  const bytes = context.quick ? 200e6 : 2e9
  const { set, image, made } = await noisy(context, bytes)
  context.say('pulling it')
  const { idle, peak } = await throughLink(
    context,
    made,
    { ...line, roundTrip: 0, rate: 1e9 },
    async (url) => {
      const settings = directlyFrom(url, made.key)
      const environment = context.environment(await context.folder('data'))
      const server = await context.serve({ ...environment, ...settings, NIXERY_PKGS_PATH: set })
      await ping(server)
      const memory = await memoryDuring(server, () => pullWhenReady(server, image, context))
      await server.stop()
      return memory
    },
  )
  return {
    name: `peak memory above idle, ${bytes / 1e9} GB directly from a cache`,
    unit: 'bytes',
    values: [peak - idle],
    target: atMost(200e6),
    note: `${Math.round(idle / 1e6)} MB idle; 30 paths that cannot be compressed`,
  }
}

export const cache: Case = {
  name: 'cache',
  what:
    'The first pull of an image from a server with an empty registry that takes everything from a binary cache, ' +
    `which nginx serves behind a proxy of this benchmark (a round trip of ${line.roundTrip} ms, one more for a ` +
    'connection, 1 Gbit/s for all answers together), from the evaluated names to the published image. Beside it, in ' +
    'turns: Nix’s substitution of the same paths over the same line into an empty store, then packing them in a ' +
    'server that was just started; and the CPU time of expanding all files and of packing all layers, each in a ' +
    'process of its own, without and with the hashes of files and NARs. Caches are kept for the next run; the large ' +
    'one with xz is measured with `--slow`, because making it takes minutes.',
  async run(context): Promise<Row[]> {
    const set = await context.folder('set')
    await writeEverything(set, context.packages)
    const rows: Row[] = []
    for (const subject of subjects.slice(0, context.quick ? 1 : undefined)) {
      if (!subject.isSlow || context.slow) rows.push(...(await measured(context, set, subject)))
    }
    rows.push(await memoryRow(context))
    return rows
  },
}
