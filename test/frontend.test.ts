import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { WorkerStatus } from '../src/builds/builds.ts'
import { readConfig } from '../src/config.ts'
import { openFrontend, type Frontend } from '../src/frontend.ts'
import { createMonitor } from '../src/monitor.ts'
import { openState, type State } from '../src/state.ts'
import { createLog } from '../src/telemetry/log.ts'
import { createRedactor } from '../src/text/redact.ts'
import { openRemoteBuilds } from './support/remote-builds.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const worker: WorkerStatus = {
  nixVersion: '2.8',
  packages: [{ set: undefined, description: 'packages of a test' }],
  tags: () => Promise.resolve(undefined),
  revision: () => Promise.resolve('r1'),
  recipePackages: () => Promise.resolve(new Map()),
  check: () => Promise.resolve(),
  load: () => ({
    running: 0,
    queued: 0,
    queuedBy: { waiting: 0, expected: 0, background: 0 },
    evaluators: { processes: [], warm: 0, cold: 0, started: 0, restarted: 0 },
    revisions: [],
  }),
}

/** The running child processes of this process. */
async function children(): Promise<number[]> {
  const tasks = await readdir('/proc/self/task')
  const lists = await Promise.all(tasks.map((task) => readFile(`/proc/self/task/${task}/children`, 'utf8')))
  return lists
    .join(' ')
    .split(' ')
    .filter((pid) => pid !== '')
    .map(Number)
}

describe('a front end', () => {
  let workspace: Workspace
  let remote: Awaited<ReturnType<typeof openRemoteBuilds>>
  let state: State
  let frontend: Frontend
  const threads: unknown[] = []
  const onThread = (thread: unknown) => void threads.push(thread)

  before(async () => {
    workspace = await openWorkspace()
    const data = join(workspace.folder, 'data')
    const environment = {
      NIXERY_PKGS_PATH: await workspace.packageSet('hello = script "hello" "echo hi";'),
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_HOST: '127.0.0.1',
      PORT: '0',
    }
    remote = await openRemoteBuilds(environment)
    process.on('worker', onThread)
    const config = readConfig(environment)
    const log = createLog('silent', createRedactor([]))
    const version = 'test'
    state = await openState(config, { warn: assert.fail })
    const monitor = createMonitor(config, { log, secrets: [], version })
    frontend = await openFrontend(config, { state, builds: remote.builds, worker, monitor, log, version })
  })
  after(async () => {
    process.off('worker', onThread)
    await frontend?.close()
    await state?.close()
    await remote?.close()
    await workspace?.dispose()
  })

  it('serves images and failures of a worker in another process, without starting processes or threads', async () => {
    const server = { address: `127.0.0.1:${frontend.port}` }
    const manifest = await requestV2(server, 'hello/manifests/latest')
    assert.equal(manifest.response.status, 200, manifest.text)
    const { config, layers } = manifest.json as Record<'config', { digest: string }> & {
      layers: { digest: string }[]
    }
    for (const { digest } of [config, ...layers]) {
      assert.equal((await requestV2(server, `hello/blobs/${digest}`)).response.status, 200)
    }
    const unknown = await requestV2(server, 'nothing-like-it/manifests/latest')
    assert.match(unknown.text, /Could not find Nix packages/)
    const origin = `http://${server.address}`
    assert.equal((await fetch(`${origin}/readyz`)).status, 200)
    assert.equal((await fetch(origin)).status, 200)
    assert.deepEqual(await children(), [remote.pid])
    assert.deepEqual(threads, [])
  })
})
