/**
 * `node bench/layering/run.ts [--seeds 5] [--json]`: the cost of layerings for a client that pulls many images and keeps
 * their layers, compared with the optimum, one layer per store path. Prints a table for each set of packages, or all costs
 * as JSON. The first run makes and realises the demo packages.
 */
import { homedir } from 'node:os'
import { parseArgs } from 'node:util'
import { readConfig } from '../../src/config.ts'
import { demoWorld } from './demo-world.ts'
import { debianWorld, syntheticWorld } from './large-worlds.ts'
import { layerings } from './layerings.ts'
import { simulate } from './simulation.ts'
import { costsOf, traceTable } from './table.ts'
import type { World } from './world.ts'

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
})
const seeds = Number(values.seeds)
if (!Number.isSafeInteger(seeds) || seeds < 1) throw new RangeError('--seeds is a positive integer')

const images = 60
const changes = 0.05
const cacheDirectory = readConfig({ HOME: homedir() }).NIXERY_CACHE
const say = (line: string): void => void process.stderr.write(`${line}\n`)

const worlds: (() => World | undefined | Promise<World | undefined>)[] = [
  () => demoWorld(say),
  () => debianWorld(cacheDirectory, 150, [20, 150]),
  () => debianWorld(cacheDirectory, 150, [100, 400]),
  () => debianWorld(cacheDirectory, 150, [400, 1500]),
  () => syntheticWorld(1000, 12),
  () => syntheticWorld(3000, 60),
]
for (const make of worlds) {
  const world = await make()
  if (!world) {
    say('the cache has no index of Debian’s packages: skipped')
    continue
  }
  const traces = Array.from({ length: seeds }, (_, index) =>
    simulate(world, layerings, { images, changes, seed: index + 1 }),
  )
  const costs = costsOf(traces, 'one layer per path')
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ world: world.name, paths: world.paths.size, costs })}\n`)
    continue
  }
  const facts = `${world.paths.size} paths, ${images} images, ${changes * 100} % change, ${seeds} seeds`
  process.stdout.write(`\n${world.name}: ${facts}\n${traceTable(costs)}\n`)
}
