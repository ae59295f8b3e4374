import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { atMost, type Case, type Row } from '../case.ts'
import { cores, overBlocks, packAlone } from '../floors.ts'
import { makeTrees, seeded } from '../seed.ts'

export const large: Case = {
  name: 'large',
  what:
    'Packing a closure of 2 GB (200 folders of pseudorandom files in 94 layers, the largest a sixth of all bytes) in a ' +
    'separate process. Its peak of resident memory (VmHWM) is compared with that before packing. The floor is measured ' +
    'over the first 256 MB and scaled.',
  async run(context): Promise<Row[]> {
    const { signal, quick } = context
    const folder = await context.folder('trees')
    context.say('writing 2 GB')
    const trees = makeTrees(folder, { count: 200, bytes: quick ? 200e6 : 2e9 }, seeded(8))
    const total = trees.reduce((sum, { size }) => sum + size, 0)
    // One layer for each of the largest paths and one for all others, as with a limit of 94 layers.
    const single = trees.slice(0, 93).map(({ path, size }) => ({ paths: [path], size }))
    const rest = trees.slice(93)
    const last = {
      paths: rest.map(({ path }) => path),
      size: rest.reduce((sum, { size }) => sum + size, 0),
    }
    const empty = join(folder, 'set')
    await mkdir(empty)
    const environment = { ...context.environment(await context.folder('data')), NIXERY_PKGS_PATH: empty }
    const layers = [...single, last]

    context.say('packing')
    const packed = await packAlone({ layers, rounds: quick ? 1 : 2, warm: false }, environment, signal)
    context.say('floor')
    const paths = trees.map(({ path }) => path)
    const alone = await overBlocks({ what: 'compressor', paths, rounds: 2, limit: 256e6 }, context)
    const scaled = alone.ms.map((ms) => (ms / alone.bytes) * total)
    return [
      {
        name: 'peak memory above idle',
        unit: 'bytes',
        values: [packed.peak - packed.idle],
        target: atMost(400e6),
        note: `${(packed.idle / 1e6).toFixed(0)} MB idle; packed to ${(packed.compressed / total).toFixed(2)} of ${(total / 1e9).toFixed(1)} GB`,
      },
      {
        name: 'packing all of it',
        unit: 'ms',
        values: packed.ms,
        floors: [{ name: `the compressor alone, ${cores} cores`, values: scaled }],
      },
    ]
  },
}
