import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { noPostgres } from '../src/postgres/testing.ts'
import { openCollector } from '../src/telemetry/collector-testing.ts'
import { cutOffWhilePacking, kill } from './reliability/fleet-faults.ts'
import { folderIn, openFleetWorld, type FleetWorld, type Member } from './reliability/fleet-world.ts'
import { runFleetFaults } from './reliability/fleet.ts'
import { createRandom } from './reliability/random.ts'
import { runNixery } from './support/command.ts'
import { countLog } from './support/fleet.ts'
import { createGate, type Gate } from './support/gate.ts'
import { startHaproxy, type Haproxy } from './support/haproxy.ts'
import { freePort } from './support/ports.ts'
import { logOf } from './support/log.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const pull = (server: Pick<Member, 'address'>, name: string) => requestV2(server, `${name}/manifests/latest`)
const digestOf = (response: Response) => response.headers.get('docker-content-digest')

describe('three front ends behind haproxy, and two workers', { skip: noPostgres, timeout: 800_000 }, () => {
  let workspace: Workspace
  let gate: Gate
  let world: FleetWorld
  let fronts: [Member, Member, Member]
  let workers: [Member, Member]
  let haproxy: Haproxy
  let nix: NixLog
  let collector: Awaited<ReturnType<typeof openCollector>>

  before(async () => {
    workspace = await openWorkspace()
    gate = createGate()
    nix = await openNixLog()
    const more = `slow = run "slow" "echo it has begun; ${gate.wait}; mkdir $out";
      nested = { recurseForDerivations = true; deep = run "deep" "mkdir $out"; };`
    collector = await openCollector()
    const settings = {
      PATH: `${nix.folder}:${process.env['PATH']}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    }
    world = await openFleetWorld(workspace, { fronts: 3, workers: 2, images: 6, large: 1, more, settings })
    const of = (role: Member['role']) => world.members.filter((each) => each.role === role)
    fronts = of('front') as [Member, Member, Member]
    workers = of('worker') as [Member, Member]
    const addresses = fronts.map(({ address }) => address)
    haproxy = await startHaproxy(folderIn(workspace, 'haproxy.cfg'), await freePort(), addresses)
  })
  after(async () => {
    gate?.open()
    await haproxy?.stop()
    await workspace?.dispose()
    await world?.dispose()
    gate?.dispose()
    await nix?.close()
    await collector?.close()
  })

  it('serve fifty pulls of one image with one call of Nix, and one manifest', async () => {
    const isUp = () =>
      pull(haproxy, 'p0').then(
        ({ response }) => response.status === 200,
        () => false, // haproxy does not listen yet
      )
    await until(isUp, 'haproxy leads to front ends that have workers')
    await nix.started()
    const images = async () => {
      const [row] = await world.fleet.postgres.run(world.fleet.url, 'select count(*)::int from images')
      return Number(row?.['count'])
    }
    const imagesBefore = await images()
    const digests: (string | null)[] = []
    const pullWithRetries = async () => {
      for (;;) {
        const { response, text } = await pull(haproxy, 'p1/p2')
        if (response.status === 429) continue
        assert.equal(response.status, 200, text)
        return digests.push(digestOf(response))
      }
    }
    await Promise.all(Array.from({ length: 50 }, pullWithRetries))
    assert.deepEqual([digests.length, new Set(digests).size], [50, 1])
    const served = (one: Member) =>
      one.log.filter(({ msg, path }) => msg === 'answered' && String(path).includes('p1/p2')).length
    await until(() => fronts.every((front) => served(front) > 0), 'all front ends have served requests')
    const calls = await nix.started() // also of an evaluator that starts, and for the closure
    assert.equal(calls.filter((call) => call === 'nix-store --realise').length, 1)
    for (const each of world.members) await logOf(each)
    assert.equal(countLog(workers, /^names are looked up$/), 2) // p0 and p1/p2
    assert.equal(countLog(workers, /^build started$/), 2)
    assert.equal(countLog(fronts, /^build started$/), 0)
    assert.equal((await images()) - imagesBefore, 1)
  })

  it('use one connection to the database each for all notifications', async () => {
    const { postgres, url } = world.fleet
    const listening = `select count(*)::int from pg_stat_activity
      where datname = current_database() and (query like 'listen %' or query = 'select 1')`
    const listeners = async () => Number((await postgres.run(url, listening))[0]?.['count'])
    await until(async () => (await listeners()) === world.members.length, 'one connection of each listens')
  })

  it('serve nothing but health and metrics from workers', async () => {
    const statusOf = async (path: string) => (await fetch(`http://${workers[0].address}${path}`)).status
    assert.equal(await statusOf('/healthz'), 200)
    assert.equal(await statusOf('/metrics'), 200)
    assert.equal(await statusOf('/v2/p1/manifests/latest'), 404)
    assert.equal(await statusOf('/'), 404)
    const tags = await requestV2(fronts[0], 'p1/tags/list')
    assert.deepEqual(tags.json, { name: 'p1', tags: ['latest'] })
  })

  it('compose images on front ends, and show those that were pulled', async () => {
    const at = (path: string) => fetch(`http://${fronts[1].address}${path}`)
    const textOf = async (path: string) => (await at(path)).text()
    await until(async () => (await pull(fronts[1], 'p1/p2')).response.status === 200, 'the image is served')
    await until(async () => (await at('/images/p1/p2')).ok, 'the pull is recorded')
    assert.match(await textOf('/images/p1/p2'), /to download in \d+ layers/)
    assert.match(await textOf('/compose?p=p1&p=p2'), /Size and layers.*<svg/s)
    assert.match(await textOf('/compose?p=p1&p=other'), /Nobody has pulled other\/p1/)
    assert.match(await textOf('/'), /name="q"/)
  })

  it('trace builds on workers as children of the requests that caused them', async () => {
    const isTraced = () => {
      const spans = collector.spans()
      const builds = spans.filter(({ attributes: { 'nixery.image': image } }) => image === 'p1/p2')
      const causes = builds.map(({ parent, trace }) =>
        spans.find((span) => span.id === parent && span.trace === trace && span.kind === 2),
      )
      return builds.length === 1 && causes.every((cause) => cause?.name.startsWith('GET /v2/'))
    }
    await until(isTraced, 'the collector has the trace')
  })

  it('find packages on every front end, in an index that one worker has made', async () => {
    const search = async ({ address }: Member) => {
      const response = await fetch(`http://${address}/api/v1/search?q=deep`)
      const { state, packages } = (await response.json()) as { state: string; packages: { name: string }[] }
      return [state, ...packages.map(({ name }) => name)].join(' ')
    }
    for (const front of fronts) await until(async () => (await search(front)) === 'ready nested.deep')
    assert.equal(countLog(workers, /^the search index has 9 packages/), 1)
    assert.match(await (await fetch(`http://${fronts[1].address}/compose?q=deep`)).text(), /Add nested\.deep/)
    // Names are looked up by workers, which get the index, too.
    const others = () => countLog(workers, /^the search index of another process is used: 9 packages/)
    await until(() => others() === 1, 'the other worker has the index')
    assert.match((await pull(fronts[0], 'deep')).text, /did you mean nested\.deep/)
    const env = {
      NIXERY_ROLE: 'front',
      NIXERY_DATABASE_URL: world.fleet.url,
      STORAGE_PATH: folderIn(workspace, 'store'),
    }
    const { stdout, exitCode } = await runNixery(folderIn(workspace, 'command'), '', ['search', 'deep'], {
      env,
    })
    assert.deepEqual([exitCode, stdout], [0, 'nested.deep'])
  })

  it('take over the builds of killed and stopped workers', async () => {
    const retry = await pull(fronts[1], 'slow')
    assert.equal(retry.response.status, 429, retry.text)
    const page = /<(\/builds\/[0-9a-f-]+)>/.exec(retry.response.headers.get('link') ?? '')?.[1]
    const untilPageShows = async (text: RegExp) => {
      for (const { address } of fronts) {
        const shows = async () => text.test(await (await fetch(`http://${address}${page}`)).text())
        await until(shows, `the page at ${address} shows ${text}`)
      }
    }
    await untilPageShows(/it has begun/)
    const first = workers.find((worker) => countLog([worker], /it has begun/) > 0)
    assert.ok(first)

    const killedAt = performance.now()
    const replaced = first.replace('SIGKILL')
    await untilPageShows(/another one continues/)
    assert.ok(performance.now() - killedAt < 30_000)
    await replaced
    await Promise.all(workers.filter((worker) => worker !== first).map((worker) => worker.replace('SIGTERM')))
    gate.open()
    await until(async () => (await pull(fronts[0], 'slow')).response.status === 200, 'the image is served')
    const [one, two] = [await pull(fronts[0], 'slow'), await pull(fronts[1], 'slow')]
    assert.equal(digestOf(one.response), digestOf(two.response))
  })

  it('serve known images while the database is down, and continue when it is back', async () => {
    const { postgres } = world.fleet
    await postgres.stop('SIGKILL')
    assert.equal((await pull(fronts[0], 'slow')).response.status, 200)
    const refused = await pull(fronts[0], 'p3')
    assert.equal(refused.response.status, 503, refused.text)
    assert.ok(Number(refused.response.headers.get('retry-after')) > 0)
    assert.equal((await pull(fronts[0], 'slow')).response.status, 200)
    await postgres.start()
    await until(async () => (await pull(fronts[0], 'p3')).response.status === 200, 'builds work again')
  })

  // A short version of `npm run fleet`.
  it('serve correct images in time, whatever fails', async (t) => {
    const seed = Number(process.env['NIXERY_TEST_SEED'] ?? Date.now() % 1e9)
    t.diagnostic(`seed ${seed}`)
    const say = (line: string) => t.diagnostic(line)
    const random = createRandom(seed)
    const [large = ''] = world.large
    const faults = [kill(world, random), cutOffWhilePacking(world, large)]
    await runFleetFaults(world, { random, faults, limit: 120_000, say })
  })

  it('serve known images without a worker', async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
    assert.equal((await pull(fronts[0], 'p0')).response.status, 200)
    assert.equal((await fetch(`http://${fronts[0].address}/readyz`)).status, 200)
  })
})
