import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { noPostgres } from '../src/postgres/testing.ts'
import { said, startFleet, type TestFleet } from './support/fleet.ts'
import { createGate, type Gate } from './support/gate.ts'
import { until } from './support/until.ts'
import { ask, openWorkspace, type Workspace } from './support/workspace.ts'

const pull = (server: ServerProcess, name: string) => ask(server, `${name}/manifests/latest`)
const digestOf = (response: Response) => response.headers.get('docker-content-digest')

describe('two front ends and two workers', { skip: noPostgres, timeout: 240_000 }, () => {
  let workspace: Workspace
  let gate: Gate
  let fleet: TestFleet
  let fronts: ServerProcess[] = []
  let workers: ServerProcess[] = []
  const all = () => [...fronts, ...workers]

  before(async () => {
    workspace = await openWorkspace()
    gate = createGate()
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      other = script "other" "echo ho";
      more = script "more" "echo hm";
      slow = run "slow" "echo it has begun; ${gate.wait}; mkdir $out";
    `)
    fleet = await startFleet(workspace, { NIXERY_PKGS_PATH: set })
    fronts = await Promise.all([fleet.front(), fleet.front({ NIXERY_MAX_WAIT: '1', NIXERY_PAGES: 'own' })])
    workers = await Promise.all([fleet.worker(), fleet.worker()])
  })
  after(async () => {
    gate?.open()
    await workspace?.dispose()
    await fleet?.dispose()
    gate?.dispose()
  })

  it('serve fifty pulls of one image with one build', async () => {
    const [first, second] = fronts as [ServerProcess, ServerProcess]
    const responses: Response[] = []
    const patient = async (server: ServerProcess) => {
      for (;;) {
        const { response, text } = await pull(server, 'hello')
        if (response.status !== 429) {
          assert.equal(response.status, 200, text)
          return responses.push(response)
        }
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, n) => patient(n % 2 === 0 ? first : second)))
    assert.equal(new Set(responses.map(digestOf)).size, 1)
    assert.equal(said(workers, /^build started$/), 1)
    assert.equal(said(fronts, /^build started$/), 0)
  })

  it('serve nothing but health and metrics from workers', async () => {
    const [worker] = workers as [ServerProcess]
    const statusOf = async (path: string) => (await fetch(`http://${worker.address}${path}`)).status
    assert.equal(await statusOf('/healthz'), 200)
    assert.equal(await statusOf('/metrics'), 200)
    assert.equal(await statusOf('/v2/hello/manifests/latest'), 404)
    assert.equal(await statusOf('/'), 404)
    const tags = await ask(fronts[0] as ServerProcess, 'hello/tags/list')
    assert.deepEqual(tags.json, { name: 'hello', tags: ['latest'] })
  })

  it('take over the build of a worker that was killed, and of one that stops', async () => {
    const [first, second] = fronts as [ServerProcess, ServerProcess]
    const waiting = pull(first, 'slow')
    const building = () => workers.filter((worker) => said([worker], /^nix: building .*-slow/) > 0)
    await until(() => building().length === 1, 'the first worker builds')
    const [killed] = building() as [ServerProcess]
    const retry = await pull(second, 'slow')
    assert.equal(retry.response.status, 429, retry.text)
    const page = /<(\/builds\/[0-9a-f-]+)>/.exec(retry.response.headers.get('link') ?? '')?.[1]
    const [survivor] = workers.filter((worker) => worker !== killed) as [ServerProcess]

    const killedAt = performance.now()
    await killed.stop('SIGKILL')
    await until(() => said([survivor], /^build started$/) > 0, 'the second worker has taken over')
    assert.ok(performance.now() - killedAt < 15_000)
    for (const front of fronts) {
      await until(async () => {
        const response = await fetch(`http://${front.address}${page}`)
        assert.equal(response.status, 200)
        return (await response.text()).includes('another one goes on')
      }, 'the page shows it on every front end')
    }

    workers = [await fleet.worker()]
    await Promise.all([
      survivor.stop(),
      until(() => said(workers, /^build started$/) > 0, 'the third has it'),
    ])
    gate.open()
    const { response, text } = await waiting
    assert.equal(response.status, 200, text)
    const again = await pull(second, 'slow')
    assert.equal(digestOf(again.response), digestOf(response))
  })

  it('serve what they know while the database is away, and go on when it is back', async () => {
    const [first] = fronts as [ServerProcess]
    await fleet.postgres.stop('SIGKILL')
    assert.equal((await pull(first, 'hello')).response.status, 200)
    const refused = await pull(first, 'other')
    assert.equal(refused.response.status, 503, refused.text)
    assert.ok(Number(refused.response.headers.get('retry-after')) > 0)
    assert.equal((await pull(first, 'hello')).response.status, 200)
    await fleet.postgres.start()
    await until(async () => (await pull(first, 'other')).response.status === 200, 'builds go on')
  })

  it('serve what they know without a worker', async () => {
    const [first] = fronts as [ServerProcess]
    for (const worker of workers) await worker.stop()
    assert.equal((await pull(first, 'hello')).response.status, 200)
    assert.equal((await fetch(`http://${first.address}/readyz`)).status, 200)
    for (const server of all())
      assert.deepEqual(
        server.log.filter(({ msg }) => /internal|bug/.test(msg)),
        [],
      )
  })
})
