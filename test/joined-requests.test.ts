import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { createGate } from './support/gate.ts'
import { logOf } from './support/log.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const count = (server: ServerProcess, message: string) =>
  server.log.filter(({ msg }) => msg === message).length

describe('requests for one image', () => {
  it('share one build', async () => {
    const set = await workspace.packageSet(
      'slow = run "slow" "sleep 2; mkdir -p $out/bin; echo x > $out/bin/slow";',
    )
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    const results = await Promise.all(
      Array.from({ length: 20 }, () => requestV2(server, 'slow/manifests/latest')),
    )
    for (const { response, text } of results) {
      assert.equal(response.status, 200)
      assert.equal(text, results[0]?.text)
    }
    await logOf(server)
    assert.equal(count(server, 'build started'), 1)
    assert.equal(count(server, 'packages realised'), 1)
  })

  it('do not lose their build when one of them disconnects', async (t) => {
    const gate = createGate()
    t.after(() => gate.dispose())
    const set = await workspace.packageSet(
      `slow = run "slow" "${gate.wait}; mkdir -p $out/bin; echo x > $out/bin/slow";`,
    )
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    const disconnecting = new AbortController()
    const first = requestV2(server, 'slow/manifests/latest', { signal: disconnecting.signal })
    const untilWaiting = (requests: number) =>
      until(() => count(server, 'request waits for build') === requests, `${requests} requests wait`)
    await untilWaiting(1)
    const second = requestV2(server, 'slow/manifests/latest')
    await untilWaiting(2)
    disconnecting.abort()
    await assert.rejects(first)
    gate.open()
    assert.equal((await second).response.status, 200)
    assert.equal(count(server, 'build started'), 1)
  })

  it('that have all disconnected before Nix starts to realise cancel their build', async (t) => {
    const gate = createGate()
    t.after(() => gate.dispose())
    const set = await workspace.packageSet(`slow = import (run "slow.nix" "${gate.wait}; echo 1 > $out");`)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    const disconnecting = new AbortController()
    const only = requestV2(server, 'slow/manifests/latest', { signal: disconnecting.signal })
    await until(() => count(server, 'build started') === 1, 'the build starts')
    disconnecting.abort()
    await assert.rejects(only)
    const failure = () => server.log.find(({ msg }) => msg === 'build failed')
    await until(() => failure() !== undefined, 'the build is cancelled')
    assert.match(JSON.stringify(failure()?.['err']), /CANCELLED/)
    gate.open() // the evaluation has ended, but perhaps not its builder
  })
})
