import type { Case, Row } from '../case.ts'
import { ping, pull, pullAll } from '../client.ts'
import { repeat } from '../context.ts'

const image = 'shell/git'

export const restart: Case = {
  name: 'restart',
  what:
    `The first pulls of ${image} after a restart of the server that made it: the ` +
    'manifest, and in other runs the whole image by a client that has nothing of it, three blobs at a time, every ' +
    'one hashed.',
  async run(context): Promise<Row[]> {
    const environment = context.environment(await context.folder('data'))
    const first = await context.serve(environment)
    const { digest } = await pull(first, image)
    await first.stop()

    const manifests = await repeat(context.runs, context, 'restart', async () => {
      const server = await context.serve(environment)
      await ping(server)
      const answer = await pull(server, image)
      if (answer.digest !== digest) throw new Error(`${image} was ${digest} and is now ${answer.digest}`)
      await server.stop()
      return { start: server.startMs, ms: answer.ms }
    })
    const wholes = await repeat(context.runs, context, 'restart, whole image', async () => {
      const server = await context.serve(environment)
      await ping(server)
      const whole = await pullAll(server, image)
      await server.stop()
      return whole
    })
    const [whole] = wholes
    return [
      { name: 'from starting the server to ready', unit: 'ms', values: manifests.map(({ start }) => start) },
      { name: 'first request to manifest', unit: 'ms', values: manifests.map(({ ms }) => ms) },
      {
        name: 'first request to the last blob',
        unit: 'ms',
        values: wholes.map(({ ms }) => ms),
        note: `${whole?.blobs} blobs, ${((whole?.bytes ?? 0) / 1e6).toFixed(1)} MB`,
      },
    ]
  },
}
