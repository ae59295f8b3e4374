import { atMost, type Case, type Row } from '../case.ts'
import { ping, pull } from '../client.ts'
import { repeat, type Context } from '../context.ts'
import { planImage } from '../image.ts'
import type { LogLine } from '../../scripts/server.ts'

const image = 'shell/python3/jq/curl'
const clients = 50

type Together = { ms: number; evaluations: number; realisations: number; packedTwice: number; served: number }

export const together: Case = {
  name: 'together',
  what:
    `${clients} concurrent pulls of ${image} from a new server with an empty registry and an empty catalog; all store ` +
    'paths exist. Measured until the last response. The work done is counted in the server’s log.',
  async run(context): Promise<Row[]> {
    await planImage(image, context.environment(await context.folder('data')), context.signal)
    const alone = await repeat(context.runs, context, 'one client', () => pullBy(context, 1))
    const found = await repeat(context.runs, context, `${clients} clients`, () => pullBy(context, clients))
    const of = (part: keyof Together) => found.map((each) => each[part])
    const count = (name: string, part: keyof Together, target: number): Row => ({
      name,
      unit: 'count',
      values: of(part),
      exact: true,
      target: atMost(target),
    })
    return [
      {
        name: `${clients} clients, first request to last response`,
        unit: 'ms',
        values: of('ms'),
        floors: [{ name: 'one client alone', values: alone.map(({ ms }) => ms) }],
      },
      count('evaluations', 'evaluations', 1),
      count('realisations', 'realisations', 1),
      count('layers packed more than once', 'packedTwice', 0),
      {
        name: 'clients with the same, correct manifest',
        unit: 'count',
        values: of('served'),
        exact: true,
        target: { of: 'median', limit: { atLeast: clients } },
      },
    ]
  },
}

async function pullBy(context: Context, count: number): Promise<Together> {
  const server = await context.serve(context.environment(await context.folder('data')))
  await Promise.all(Array.from({ length: count }, () => ping(server)))
  const started = performance.now()
  const answers = await Promise.all(Array.from({ length: count }, () => pull(server, image)))
  const ms = performance.now() - started
  const log = await server.log()
  await server.stop()
  const lines = (what: string): LogLine[] => log.filter(({ msg }) => msg === what)
  const packed = lines('layer packed').map((line) => line['digest'])
  return {
    ms,
    evaluations: lines('packages resolved').filter((line) => Number(line['evaluated']) > 0).length,
    realisations: lines('packages realised').length,
    packedTwice: packed.length - new Set(packed).size,
    served: answers.filter(({ digest }) => digest === answers[0]?.digest).length,
  }
}
