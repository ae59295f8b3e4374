import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { LogLine, ServerProcess } from '../scripts/server.ts'
import { createGate, type Gate } from './support/gate.ts'
import { logOf } from './support/log.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const statuses = async (server: ServerProcess, kind: string) =>
  (await logOf(server))
    .filter((line) => line.msg === 'answered' && line['kind'] === kind)
    .map((line) => line['status'])
const count = (server: ServerProcess, message: string) =>
  server.log.filter(({ msg }) => msg === message).length
const skopeo = (server: ServerProcess, name: string) =>
  execa(
    'skopeo',
    'copy --src-tls-verify=false --insecure-policy'
      .split(' ')
      .concat(`docker://${server.address}/${name}`, `dir:${join(workspace.folder, `${name}-copy`)}`),
    { reject: false, all: true },
  )

// Clients wait for two seconds here, and builders for this test: such a build is as long as one of an hour elsewhere.
describe('a build that takes longer than its client waits', () => {
  let server: ServerProcess
  const [slow, failing, fetched] = [createGate(), createGate(), createGate()]
  before(async () => {
    const set = await workspace.packageSet(`
      slow = run "slow" "${slow.wait}; mkdir -p $out/bin; echo x > $out/bin/slow";
      failing = run "failing" "${failing.wait}; echo last words; exit 3";
      fetched = run "fetched" "${fetched.wait}; mkdir -p $out/bin; echo x > $out/bin/fetched";
    `)
    server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_MAX_WAIT: '2', NIX_TIMEOUT: '600' })
  })
  after(() => {
    for (const gate of [slow, failing, fetched]) gate.dispose()
  })
  /** Lets builders continue when a client has got a retry response for an image. */
  const openAfterRetry = async (gate: Gate, name: string) => {
    const isRetry = ({ msg, path, status }: LogLine) =>
      msg === 'answered' && status === 429 && String(path).startsWith(`/v2/${name}/`)
    await until(() => server.log.some(isRetry), 'a client gets a retry response')
    gate.open()
  }

  it('is pulled by skopeo, which retries', async () => {
    const [pulled] = await Promise.all([skopeo(server, 'slow'), openAfterRetry(slow, 'slow')])
    assert.equal(pulled.exitCode, 0, pulled.all)
    const sent = await statuses(server, 'image')
    assert.ok(sent.length > 1)
    assert.deepEqual(new Set(sent.slice(0, -1)), new Set([429]))
    assert.equal(sent.at(-1), 200)
    assert.equal(count(server, 'build started'), 1)
  })

  it('that fails is reported to clients that retry, without another build', async () => {
    const started = count(server, 'build started')
    const [pulled] = await Promise.all([skopeo(server, 'failing'), openAfterRetry(failing, 'failing')])
    assert.notEqual(pulled.exitCode, 0)
    assert.match(pulled.all, /last words/)
    await logOf(server)
    assert.equal(count(server, 'build started'), started + 1)
  })

  it('results in a response with the URL of the build', async () => {
    let { response, json } = await requestV2(server, 'fetched/manifests/latest')
    // On a busy machine, the limit may expire before the build starts.
    while (response.headers.get('Link') === null) {
      assert.equal(response.status, 429)
      ;({ response, json } = await requestV2(server, 'fetched/manifests/latest'))
    }
    assert.equal(response.status, 429)
    assert.equal(response.headers.get('Retry-After'), '5')
    const [error] = (json as Failure).errors
    assert.equal(error?.code, 'TOOMANYREQUESTS')
    const page = /http:\S+\/builds\/[-0-9a-f]{36}/.exec(error.message)?.[0] ?? ''
    assert.ok(page.startsWith(`http://${server.address}/`), error.message)
    const buildPage = await fetch(page)
    assert.equal(buildPage.status, 200)
    assert.match(await buildPage.text(), /fetched/)
    assert.equal(`<${new URL(page).pathname}>; rel="status"`, response.headers.get('Link'))
  })

  it('continues without clients, and is then available at once', async () => {
    await logOf(server)
    const finished = () => count(server, 'build finished')
    const earlier = finished()
    const { response } = await requestV2(server, 'fetched/manifests/latest', { method: 'HEAD' })
    assert.equal(response.status, 429)
    fetched.open()
    await until(() => finished() > earlier, 'the build finishes')
    assert.equal((await requestV2(server, 'fetched/manifests/latest')).response.status, 200)
  })
})
