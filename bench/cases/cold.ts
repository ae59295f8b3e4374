import { atLeastTimes, atMost, atMostTimes, type Case, type Row } from '../case.ts'
import { ping, pull } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import { cores, overBlocks } from '../floors.ts'
import { packLayers, planImage } from '../image.ts'
import type { Server } from '../serve.ts'

const image = 'shell/git'

type Pull = { start: number; manifest: number; resolve: number; realise: number; rest: number }

/** The times of one pull: by the client's clock, and its stages by the server's log. */
async function coldPull(context: Context): Promise<Pull> {
  const server = await context.serve(context.environment(await context.folder('data')))
  await ping(server)
  const { ms } = await pull(server, image)
  const [resolve, realise, finished] = await timesOf(server)
  await server.stop()
  return { start: server.startMs, manifest: ms, resolve, realise, rest: finished - resolve - realise }
}

async function timesOf(server: Server): Promise<[number, number, number]> {
  const log = await server.log()
  const msOf = (what: string) => Number(log.findLast(({ msg }) => msg === what)?.['ms'] ?? 0)
  return [msOf('packages resolved'), msOf('packages realised'), msOf('build finished')]
}

export const cold: Case = {
  name: 'cold',
  what:
    `The first pull of ${image} from a new server with an empty registry and an empty catalog. All store paths exist, ` +
    'and their files are in the page cache. Measured from sending the request for the manifest to its last byte: ' +
    'evaluating, realising, reading the closure, planning, and packing and storing every layer.',
  async run(context): Promise<Row[]> {
    const { signal } = context
    const environment = context.environment(await context.folder('data'))
    const layers = await planImage(image, environment, signal)
    const paths = layers.flatMap((layer) => layer.paths)
    const pulls = await repeat(context.runs, context, `pull of ${image}`, () => coldPull(context))
    const of = (part: keyof Pull) => pulls.map((each) => each[part])

    // Alternates, so that other load on the machine affects both.
    const turns = await repeat(context.runs, context, 'packing and its floor', async () => ({
      alone: await overBlocks({ what: 'compressor', paths, rounds: 1 }, context),
      packed: await packLayers(layers, 1, environment, signal),
    }))
    context.say('floors')
    const sha256 = await overBlocks({ what: 'sha256', paths, rounds: context.runs }, context)
    const level6 = await overBlocks({ what: 'gzip -6', paths, rounds: 1 }, context)
    const alone = turns.flatMap((each) => each.alone.ms)
    const packed = turns.flatMap((each) => each.packed.ms)
    const { bytes } = sha256
    const rate = (ms: readonly number[]) => ms.map((each) => (bytes / each) * 1000)
    const compressor = `the compressor alone, ${cores} cores`
    return [
      {
        name: `${image}: first request to manifest`,
        unit: 'ms',
        values: of('manifest'),
        target: atMost(900),
        floors: [
          { name: compressor, values: alone },
          { name: `sha256 of the same bytes, ${cores} cores`, values: sha256.ms },
        ],
      },
      { name: '  of which: evaluating', unit: 'ms', values: of('resolve') },
      { name: '  of which: realising, reading the closure', unit: 'ms', values: of('realise') },
      { name: '  of which: packing and storing', unit: 'ms', values: of('rest') },
      { name: 'before: from starting the server to ready', unit: 'ms', values: of('start') },
      {
        name: 'only packing the same layers',
        unit: 'bytes/s',
        values: rate(packed),
        floors: [{ name: compressor, values: rate(alone) }],
        target: atLeastTimes(0.8),
      },
      {
        name: 'size of these layers',
        unit: 'bytes',
        values: turns.map((each) => each.packed.compressed),
        exact: true,
        floors: [{ name: 'gzip -6 of the same blocks', values: [level6.compressed] }],
        target: atMostTimes(1.12),
        note: `${paths.length} store paths, ${(bytes / 1e6).toFixed(0)} MB of tar`,
      },
    ]
  },
}
