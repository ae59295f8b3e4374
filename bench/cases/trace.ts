import { homedir } from 'node:os'
import { readConfig } from '../../src/config.ts'
import { defaultMaxLayers } from '../../src/layers/strategies.ts'
import { atMost, atMostTimes, type Case, type Row } from '../case.ts'
import { demoWorld } from '../layering/demo-world.ts'
import { debianWorld } from '../layering/large-worlds.ts'
import { layerings } from '../layering/layerings.ts'
import { simulate, type Half, type Trace } from '../layering/simulation.ts'
import type { World } from '../layering/world.ts'

type Name = keyof typeof layerings
const floor: Name = 'one layer per path'
/** The strategy that is to reach what was wanted; the others are there to compare. */
const wanted: Name = 'stable'
const names = (Object.keys(layerings) as Name[]).filter((name) => name !== floor)

export const trace: Case = {
  name: 'trace',
  what:
    'One client that keeps its layers pulls 60 random images of 1 to 6 packages; then 5 % of the store paths change, ' +
    `and it pulls all again. At most ${defaultMaxLayers} layers an image, bytes before compression, no popularity ` +
    'data; three traces with seeds of their own, simulated over the closures of the demo packages and over larger ' +
    'ones from Debian’s index. `size first` is how nixpkgs’ dockerTools groups paths today, `popular alone` how it ' +
    'did before.',
  async run(context): Promise<Row[]> {
    const seeds = context.quick ? [1] : [1, 2, 3]
    const tracesOf = (world: World) =>
      seeds.map((seed) => {
        context.signal.throwIfAborted()
        context.say(`${world.name}, trace ${seed}`)
        return simulate(world, layerings, { images: 60, changes: 0.05, seed })
      })
    context.say('realising all demo packages')
    const demo = tracesOf(await demoWorld(context.say))
    const rows = names.flatMap((name) => [
      ...fetchedRows(name, demo, name === wanted),
      ...layerRows(name, demo),
    ])
    const larger = await debianWorld(readConfig({ HOME: homedir() }).NIXERY_CACHE, 150, [20, 150])
    if (!larger) return rows // no list of packages is in the cache
    const others = tracesOf(larger)
    return [...rows, ...names.flatMap((name) => fetchedRows(name, others, false, 'Debian, '))]
  },
}

type Traces = readonly Record<Name, Trace>[]

/** Bytes that were fetched, beside one layer per path. */
function fetchedRows(name: Name, traces: Traces, isWanted: boolean, prefix = ''): Row[] {
  const half = (title: string, which: keyof Trace): Row => ({
    name: `${prefix}${name}: fetched, ${title}`,
    unit: 'bytes',
    values: traces.map((each) => each[name][which].bytes),
    floors: [{ name: floor, values: traces.map((each) => each[floor][which].bytes) }],
    exact: true,
    ...(isWanted && { target: atMostTimes(1.1) }),
  })
  return [half('all images', 'first'), half('after update', 'again')]
}

/** How many layers images have, and how many from the first on are those of the image before. */
function layerRows(name: Name, traces: Traces): Row[] {
  const count = (title: string, of: (each: Half) => number): Row => ({
    name: `${name}: ${title}`,
    unit: 'count',
    values: traces.map((each) => of(each[name].first)),
    exact: true,
  })
  // The layer of links is one more.
  const most = count('layers of the largest image', ({ mostLayers }) => mostLayers + 1)
  return [
    name === wanted ? { ...most, target: atMost(100) } : most,
    count('layers of an image, mean', ({ layers, images }) => layers / images + 1),
    count('of these as in the image before', ({ prefixLayers, images }) => prefixLayers / images),
  ]
}
