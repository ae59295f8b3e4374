import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { createGate, type Gate } from './support/gate.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
let gate: Gate
before(async () => {
  workspace = await openWorkspace()
})
afterEach(() => gate.open()) // otherwise builders would run until they time out
after(async () => {
  await workspace.dispose()
  gate.dispose()
})

const count = (server: ServerProcess, message: string | RegExp) =>
  server.log.filter(({ msg }) => (typeof message === 'string' ? msg === message : message.test(msg))).length
// The builders wait for this test, however busy the machine is.
const NIX_TIMEOUT = '600'
const building = /^nix: building '.*-slow-/
const queued = async ({ address }: ServerProcess) => {
  const text = await (await fetch(`http://${address}/metrics`)).text()
  return Number(/^nixery_builds_queued (\d+)$/m.exec(text)?.[1])
}

/** A set with a package that builds quickly, and many packages whose builders wait for the gate. */
function slowSet(): Promise<string> {
  gate = createGate()
  return workspace.packageSet(`
    trivial = script "trivial" "echo hi";
    slow = builtins.listToAttrs (builtins.genList (n: {
      name = "n\${toString n}";
      value = run "slow-\${toString n}" "${gate.wait}; mkdir $out";
    }) 100);
  `)
}

describe('a queue of builds', { timeout: 600_000 }, () => {
  it('drops the builds of sixty disconnected clients, except those that Nix has started', async () => {
    const settings = { NIXERY_PKGS_PATH: await slowSet(), NIXERY_NIX_JOBS: '2', NIX_TIMEOUT }
    const server = await workspace.serve(settings)
    const disconnecting = new AbortController()
    const clients = Array.from({ length: 60 }, (_, n) =>
      requestV2(server, `slow.n${n}/manifests/latest`, { signal: disconnecting.signal }).catch(() => {}),
    )
    await until(() => count(server, building) === 2 && count(server, 'packages resolved') === 60)
    disconnecting.abort()
    await Promise.all(clients)
    await until(() => count(server, 'build failed') === 58)
    await until(async () => (await queued(server)) === 0)

    const trivial = requestV2(server, 'trivial/manifests/latest')
    await until(async () => (await queued(server)) === 1)
    gate.open()
    assert.equal((await trivial).response.status, 200)
    assert.equal(count(server, building), 2)
    // Builds that Nix had started are finished.
    await until(() => count(server, 'build finished') === 3)
  })

  it('is limited; known images are served, and requests for running builds join them', async () => {
    const environment = {
      NIXERY_PKGS_PATH: await slowSet(),
      NIXERY_NIX_JOBS: '1',
      NIX_TIMEOUT,
      NIXERY_MAX_QUEUE: '2',
      NIXERY_DATA: join(workspace.folder, 'bounded'),
      STORAGE_PATH: join(workspace.folder, 'bounded', 'store'),
    }
    const first = await workspace.serve(environment)
    assert.equal((await requestV2(first, 'trivial/manifests/latest')).response.status, 200)
    await first.stop()
    const server = await workspace.serve(environment)
    const disconnecting = new AbortController()
    const pull = (n: number) =>
      requestV2(server, `slow.n${n}/manifests/latest`, { signal: disconnecting.signal })
    const clients = [pull(0)]
    await until(() => count(server, building) === 1)
    clients.push(pull(1), pull(2))
    await until(async () => (await queued(server)) === 2)
    const refused = await pull(3)
    assert.equal(refused.response.status, 429)
    assert.equal(refused.response.headers.get('Retry-After'), '5')
    const [error] = (refused.json as Failure).errors
    assert.equal(error?.code, 'TOOMANYREQUESTS')
    assert.match(error.message, /2 images are waiting to be built/)
    assert.equal((await requestV2(server, 'trivial/manifests/latest')).response.status, 200)
    const joins = count(server, 'request waits for build')
    clients.push(pull(2))
    await until(() => count(server, 'request waits for build') > joins)
    gate.open()
    for (const { response } of await Promise.all(clients)) assert.equal(response.status, 200)
  })

  it('keeps a build after a retry response, but not forever', async () => {
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: await slowSet(),
      NIXERY_NIX_JOBS: '1',
      NIX_TIMEOUT,
      NIXERY_MAX_WAIT: '1',
      NIXERY_RETRY_LEASE: '1',
    })
    await until(async () => {
      // On a busy machine, Nix may not start before the build is given up.
      assert.equal((await requestV2(server, 'slow.n0/manifests/latest')).response.status, 429)
      return count(server, building) === 1
    })
    const cancelled = () =>
      server.log.filter(({ msg, err }) => msg === 'build failed' && JSON.stringify(err).includes('CANCELLED'))
        .length
    const givenUp = cancelled()
    const { response } = await requestV2(server, 'slow.n1/manifests/latest')
    assert.equal(response.status, 429)
    await until(() => cancelled() === givenUp + 1)
    await until(async () => (await queued(server)) === 0)
    assert.equal(cancelled(), givenUp + 1, 'the build that Nix has started continues')
    gate.open()
    await until(() => count(server, 'build finished') === 1)
  })
})
