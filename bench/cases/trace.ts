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
/** The strategy with the targets; the others are for comparison. */
const wanted: Name = 'stable'
const names = (Object.keys(layerings) as Name[]).filter((name) => name !== floor)

export const trace: Case = {
  name: 'trace',
  what:
    'One client that keeps its layers pulls 60 random images of 1 to 6 packages; then 5 % of the store paths change, ' +
    `and it pulls all of them again. At most ${defaultMaxLayers} layers per image, bytes before compression, no ` +
    'popularity data; three traces with different seeds, simulated over the closures of the demo packages and over larger ' +
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
    if (!larger) return rows // the cache has no list of packages
    const others = tracesOf(larger)
    return [...rows, ...names.flatMap((name) => fetchedRows(name, others, false, 'Debian, '))]
  },
}

type Traces = readonly Record<Name, Trace>[]

/** Bytes fetched, compared with one layer per path. */
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

/** The number of layers of the images, and of leading layers shared with the previous image. */
function layerRows(name: Name, traces: Traces): Row[] {
  const count = (title: string, of: (each: Half) => number): Row => ({
    name: `${name}: ${title}`,
    unit: 'count',
    values: traces.map((each) => of(each[name].first)),
    exact: true,
  })
  // Plus the layer of links.
  const most = count('layers of the largest image', ({ mostLayers }) => mostLayers + 1)
  return [
    name === wanted ? { ...most, target: atMost(100) } : most,
    count('layers of an image, mean', ({ layers, images }) => layers / images + 1),
    count('of which as in the previous image', ({ prefixLayers, images }) => prefixLayers / images),
  ]
}
