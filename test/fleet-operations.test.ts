import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { noPostgres } from '../src/postgres/testing.ts'
import { launcher } from './support/command.ts'
import { countLog, startFleet, type TestFleet } from './support/fleet.ts'
import { logOf } from './support/log.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const password = 'hunter2-of-the-database'

type Status = {
  processes: { id: string; role: string; draining: boolean; differs: string[] }[]
  leads: { name: string }[]
}

describe('operating servers that share a database', { skip: noPostgres, timeout: 900_000 }, () => {
  let workspace: Workspace
  let fleet: TestFleet
  let front: ServerProcess
  let first: ServerProcess
  let second: ServerProcess
  let database: Record<string, string>

  before(async () => {
    workspace = await openWorkspace()
    const set = await workspace.packageSet(
      ['a', 'b', 'd', 'e'].map((name) => `${name} = script "${name}" "echo ${name}";`).join(' '),
    )
    // Each worker generates its own key for it.
    const shared = `file://${workspace.folder}/cache`
    fleet = await startFleet(workspace, {
      NIXERY_PKGS_PATH: set,
      NIXERY_SHARED_CACHE: shared,
      NIXERY_QUOTA_BUILDS: '2',
    })
    // The database accepts any password.
    database = { NIXERY_DATABASE_URL: fleet.url.replace('postgres@', `postgres:${password}@`) }
    ;[front, first] = await Promise.all([fleet.front(database), fleet.worker(database)])
    // The younger worker compares its settings with the older one's.
    second = await fleet.worker({ ...database, NIXERY_MAX_LAYERS: '7', NIXERY_DENY: 'c' })
  })
  after(async () => {
    await workspace?.dispose()
    await fleet?.dispose()
  })

  const nixery = (...args: string[]) =>
    execa(launcher, args, { env: database, stdin: 'ignore', reject: false })
  const status = async () => JSON.parse((await nixery('status', '--json')).stdout) as Status
  const pull = (name: string) => requestV2(front, `${name}/manifests/latest`)

  it('a worker with different settings takes no builds, and reports why', async () => {
    const why =
      /^this worker takes no builds, because it differs from .* \(worker\) in NIXERY_DENY, NIXERY_MAX_LAYERS, NIXERY_SHARED_CACHE_KEY$/
    await until(() => countLog([second], why) === 1, 'the worker reports the difference')
    const { response, text } = await pull('a')
    assert.equal(response.status, 200, text)
    for (const each of [first, second]) await logOf(each)
    assert.equal(countLog([first], /^build started$/), 1)
    assert.equal(countLog([second], /^build started$/), 0)
  })

  it('`nixery status` shows all processes and their differences', async () => {
    const { processes, leads } = await status()
    assert.deepEqual(processes.map(({ role, differs }) => [role, ...differs].join(' ')).sort(), [
      'front',
      'worker',
      'worker NIXERY_DENY NIXERY_MAX_LAYERS NIXERY_SHARED_CACHE_KEY',
    ])
    assert.deepEqual(
      leads.map(({ name }) => name),
      ['duties'],
    )
    const { stdout } = await nixery('status')
    assert.match(
      stdout,
      /worker +0\.1\.0 +\d+ s +differs in NIXERY_DENY, NIXERY_MAX_LAYERS, NIXERY_SHARED_CACHE_KEY\n/,
    )
    assert.match(stdout, /\n0 builds running, 0 queued\n/)
  })

  it('`nixery drain` takes processes out of service, and `--undo` returns them', async () => {
    const { processes } = await status()
    const oldest = processes.find(({ role, differs }) => role === 'worker' && differs.length === 0)
    const serving = processes.find(({ role }) => role === 'front')
    assert.ok(oldest && serving)
    const drained = await nixery('drain', oldest.id.slice(0, 8), serving.id, '--json')
    assert.equal(drained.exitCode, 0, drained.stderr)
    await until(() => countLog([first, front], /^draining/) === 2, 'both processes are draining')
    await until(
      () => countLog([second], /agrees with the others again/) === 1,
      'the other worker takes builds',
    )
    const ready = await fetch(`http://${front.address}/readyz`)
    assert.equal(ready.status, 503)
    const { response, text } = await pull('b') // a draining front end still serves
    assert.equal(response.status, 200, text)
    await logOf(second)
    assert.equal(countLog([second], /^build started$/), 1)
    await nixery('drain', '--undo', oldest.id, serving.id)
    await until(
      async () => (await fetch(`http://${front.address}/readyz`)).status === 200,
      'the front end is ready again',
    )
    const unknown = await nixery('drain', 'nowhere')
    assert.equal(unknown.exitCode, 2)
    assert.match(unknown.stderr, /there is no process or host "nowhere"/)
  })

  it('quotas hold over all front ends', async () => {
    const other = await fleet.front(database)
    const pullAs = async (address: string, server: ServerProcess, name: string) => {
      const headers = { 'x-forwarded-for': address }
      return (await requestV2(server, `${name}/manifests/latest`, { headers })).response.status
    }
    const client = '192.0.2.1'
    // Images of the second worker are others than those of the first.
    await until(() => countLog([second], /^this worker takes no builds/) === 2, 'it differs again')
    await until(() => countLog([first], /takes work again$/) === 1, 'the first worker is back')
    await until(async () => (await pullAs(client, front, 'd')) === 200, 'a worker takes builds')
    assert.equal(await pullAs(client, other, 'e'), 200)
    assert.deepEqual([await pullAs(client, front, 'd/e'), await pullAs(client, other, 'd/e')], [403, 403])
    // What exists is no build, even if nobody has asked for it for a day.
    await fleet.postgres.run(fleet.url, `delete from jobs where kind = 'image'`)
    assert.equal(await pullAs(client, await fleet.front(database), 'd'), 200)
    assert.equal(await pullAs('192.0.2.2', other, 'd/e'), 200)
    assert.equal(await pullAs(client, front, 'd/e'), 200)
  })

  it('the password of the database is never shown', async () => {
    const failing = await execa(launcher, ['status'], {
      env: { NIXERY_DATABASE_URL: `postgresql://u:${password}@127.0.0.1:1/none` },
      reject: false,
    })
    assert.notEqual(failing.exitCode, 0)
    await fleet.postgres.stop('SIGKILL')
    const { text } = await pull('a:missing')
    await until(() => countLog([first], /database|catalog/) > 0, 'the worker logs the failure')
    const all = [front, first, second].flatMap(({ log }) => log.map((line) => JSON.stringify(line)))
    const shown = [...all, text, failing.stderr, failing.stdout, (await nixery('config')).stdout]
    assert.deepEqual(
      shown.filter((one) => one.includes(password)),
      [],
    )
  })
})
