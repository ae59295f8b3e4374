import { atMost, type Case, type Row } from '../case.ts'
import { pull } from '../client.ts'
import { pairs, pullCombinations, serveKnown } from '../combinations.ts'
import { median } from '../statistics.ts'

export const combination: Case = {
  name: 'combination',
  what:
    'A server that has served each of twelve packages alone is asked for pairs of them, each for the first time. ' +
    'Then for the same packages named one by one instead of by `shell`, which is another image of the same ' +
    'layers. Then, started again with room for 8 layers only, for the pairs again: other groupings of known paths.',
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
        name: 'Nix programs started meanwhile',
        unit: 'count',
        values: [found.nixStarts],
        exact: true,
        target: atMost(0),
      },
      {
        name: 'processes of any kind started meanwhile',
        unit: 'count',
        values: [found.noProcess ? 0 : Math.max(1, found.nixStarts)],
        exact: true,
        target: atMost(0),
        note: 'as the kernel counts: 1 stands for one or more',
      },
      { name: 'other grouping of known paths (budget 8)', unit: 'ms', values: again },
    ]
  },
}
