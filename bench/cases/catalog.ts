import { hash } from 'node:crypto'
import { readConfig } from '../../src/config.ts'
import { keyOf } from '../../src/image/canonical.ts'
import { parseDigest, type Digest } from '../../src/image/digest.ts'
import { openState } from '../../src/state.ts'
import { asFloor, type Case, type Row } from '../case.ts'
import { pull } from '../client.ts'
import { pairs, pullCombinations, serveKnown } from '../combinations.ts'
import { repeat, type Context } from '../context.ts'
import { load, type Load } from '../load.ts'
import { seeded } from '../seed.ts'
import type { Server } from '../serve.ts'

const image = 'shell/git'

const digestOf = (text: string): Digest => parseDigest(`sha256:${hash('sha256', text)}`)

/** Fills a catalog with images of 20 layers each, out of a quarter as many layers. */
async function fill(images: number, environment: Record<string, string>, context: Context): Promise<void> {
  const below = seeded(3)
  const state = await openState(readConfig(environment), { warn: () => {} })
  try {
    const layers = Array.from({ length: Math.ceil(images / 4) }, (_, index) => ({
      digest: digestOf(`layer ${index}`),
      size: 1 + below(10_000_000),
    }))
    for (const [index, { digest, size }] of layers.entries()) {
      if (index % 5_000 === 0) context.say(`layers: ${index} of ${layers.length}`)
      const layer = { digest, diffId: digestOf(`diff ${index}`), size, compression: 'gzip' } as const
      const member = { key: keyOf('member', 0, index), digest, offset: 0, length: size }
      await state.catalog.rememberLayer(keyOf('layer', 0, index), layer, [member])
      await state.catalog.rememberBlob(digest, size)
    }
    for (let index = 0; index < images; index++) {
      if (index % 5_000 === 0) context.say(`images: ${index} of ${images}`)
      context.signal.throwIfAborted()
      const part = (kind: string) => ({ digest: digestOf(`${kind} ${index}`), size: 4_000 })
      const made = {
        manifests: { docker: part('docker'), oci: part('oci') },
        config: part('config'),
        layers: Array.from({ length: 20 }, () => layers[below(layers.length)]),
      }
      await state.catalog.rememberImage(keyOf('image', 0, index), made)
    }
  } finally {
    await state.close()
  }
}

type Warm = {
  readonly known: Awaited<ReturnType<typeof serveKnown>>
  readonly layersNew: number[]
  readonly layersKnown: number[]
  readonly one: Load[]
  readonly many: Load[]
}

async function prepare(environment: Record<string, string>, context: Context): Promise<Warm> {
  const known = await serveKnown(context, environment)
  await pull(known.server, image)
  return { known, layersNew: [], layersKnown: [], one: [], many: [] }
}

const addressOf = ({ origin }: Server): string => `${origin}/v2/${image}/manifests/latest`

/** Measures both servers alternately, so that other load on the machine affects both. */
async function measureBoth(both: readonly Warm[], context: Context): Promise<void> {
  const { signal } = context
  context.say('new combinations')
  for (const pair of pairs(context.quick ? 6 : 24)) {
    for (const { known, layersNew, layersKnown } of both) {
      const found = await pullCombinations(known, [pair], context)
      layersNew.push(...found.layersNew)
      layersKnown.push(...found.layersKnown)
    }
  }
  const seconds = context.quick ? 1 : 2
  // In its first second, a server compiles.
  for (const { known } of both) await load(addressOf(known.server), { clients: 8, seconds: 1 }, signal)
  await repeat(context.runs, context, 'both under load', async () => {
    for (const { known, one, many } of both) {
      one.push(await load(addressOf(known.server), { clients: 1, seconds }, signal))
      many.push(await load(addressOf(known.server), { clients: 64, seconds }, signal))
    }
  })
}

export const catalog: Case = {
  name: 'catalog',
  what:
    'The measurements of `combination` and `same` with a catalog of 100,000 other images of 20 layers out of 25,000 ' +
    '(5,000 images with --quick), compared with an empty catalog.',
  async run(context): Promise<Row[]> {
    const images = context.quick ? 5_000 : 100_000
    const full = context.environment(await context.folder('data'))
    await fill(images, full, context)
    context.say('pulling each package alone')
    const empty = await prepare(context.environment(await context.folder('data')), context)
    const found = await prepare(full, context)
    await measureBoth([empty, found], context)
    const row = (name: string, unit: Row['unit'], of: (warm: Warm) => readonly number[]): Row => ({
      name,
      unit,
      values: of(found),
      floors: [{ name: 'empty catalog', values: of(empty) }],
      target: asFloor,
    })
    return [
      row('new combination, its new layers packed', 'ms', ({ layersNew }) => layersNew),
      row('new combination, layers known', 'ms', ({ layersKnown }) => layersKnown),
      row('1 client: responses per second', 'requests/s', ({ one }) => one.map(({ rate }) => rate)),
      row('64 clients: responses per second', 'requests/s', ({ many }) => many.map(({ rate }) => rate)),
      row('64 clients: 99th percentile', 'ms', ({ many }) => many.map(({ p99 }) => p99)),
    ]
  },
}
