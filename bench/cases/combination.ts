import { atMost, type Case, type Row } from '../case.ts'
import { pull } from '../client.ts'
import { pairs, pullCombinations, serveKnown } from '../combinations.ts'
import { median } from '../statistics.ts'

export const combination: Case = {
  name: 'combination',
  what:
    'First pulls of pairs of twelve packages from a server that has served each of them alone. Then pulls of the same ' +
    'packages listed one by one instead of by `shell`: other images with the same layers. Then, after a restart with a ' +
    'limit of 8 layers, the pairs again: other groupings of known paths.',
  async run(context): Promise<Row[]> {
    const count = context.quick ? 6 : 24
    const environment = context.environment(await context.folder('data'))
    context.say('pulling each package alone')
    const prepared = await serveKnown(context, environment)
    context.say(`${count} new combinations`)
    const chosen = pairs(count)
    const found = await pullCombinations(prepared, chosen, context)
    await prepared.server.stop()

    context.say('other groupings')
    const regrouped = await serveKnown(context, { ...environment, NIXERY_MAX_LAYERS: '8' })
    const again: number[] = []
    for (const [a, b] of chosen) again.push((await pull(regrouped.server, `shell/${a}/${b}`)).ms)
    await regrouped.server.stop()
    return [
      {
        name: 'new combination, its new layers packed',
        unit: 'ms',
        values: found.layersNew,
        target: atMost(150),
        note: `${median(found.packed)} of ${median(found.layers)} layers were new (medians)`,
      },
      { name: 'new combination, layers known', unit: 'ms', values: found.layersKnown, target: atMost(20) },
      {
        name: 'Nix programs started',
        unit: 'count',
        values: [found.nixStarts],
        exact: true,
        target: atMost(0),
      },
      {
        name: 'processes of any kind started',
        unit: 'count',
        values: [found.noProcess ? 0 : Math.max(1, found.nixStarts)],
        exact: true,
        target: atMost(0),
        note: 'by the kernel’s count: 1 means one or more',
      },
      { name: 'other grouping of known paths (at most 8 layers)', unit: 'ms', values: again },
    ]
  },
}
