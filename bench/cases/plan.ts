import { walkClosure } from '../../src/closure/graph.ts'
import { largeFacts } from '../../src/closure/testing.ts'
import { noPopularity } from '../../src/closure/popularity.ts'
import { defaultMaxLayers, strategies } from '../../src/layers/strategies.ts'
import { atMost, type Case, type Row } from '../case.ts'

const size = 10_000
const degree = 8

export const plan: Case = {
  name: 'plan',
  what:
    `Planning a synthetic closure of ${size} store paths with about ${degree} references each: from its facts in memory ` +
    'through the graph to the planned layers, by every strategy. The first time is the first in this process, before ' +
    'code is compiled. The floor is sorting the store paths, which every plan needs.',
  async run(context): Promise<Row[]> {
    const { root, facts } = largeFacts(size, degree)
    const options = { popularity: noPopularity, maxLayers: defaultMaxLayers }
    const rounds = 2 * context.runs
    const timed = (work: () => unknown): number => {
      const started = performance.now()
      work()
      return performance.now() - started
    }
    const several = (work: () => unknown) => Array.from({ length: rounds }, () => timed(work))

    const rows: Row[] = []
    for (const [name, strategy] of Object.entries(strategies)) {
      context.say(`strategy ${name}`)
      const work = () => {
        const walked = walkClosure([root], (path) => facts.get(path))
        if ('unknown' in walked) throw new Error('the closure is incomplete')
        return strategy(walked.closure, options)
      }
      const first = timed(work)
      const values = several(work)
      const sorted = several(() => [...facts.keys()].sort())
      const floors = [{ name: 'sorting the store paths', values: sorted }]
      rows.push({ name: `${name}: graph and plan`, unit: 'ms', values, floors, target: atMost(150) })
      rows.push({ name: `${name}: the first time`, unit: 'ms', values: [first] })
    }
    return rows
  },
}
