import assert from 'node:assert/strict'
import { cp, mkdir, readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

/** A server of tarballs that holds its responses until `release`. */
async function openSlowForge() {
  const held: ServerResponse[] = []
  let archive: Buffer | undefined
  const first = Promise.withResolvers<void>()
  const send = (response: ServerResponse) => void response.end(archive)
  const server = createServer((_, response) => {
    first.resolve()
    if (archive) send(response)
    else held.push(response)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/{channel}.tar.gz`,
    requested: first.promise,
    release(bytes: Buffer) {
      archive = bytes
      for (const response of held) send(response)
    },
  }
}

const readiness = async (server: ServerProcess) => {
  const response = await fetch(`http://${server.address}/readyz`)
  const { checks } = (await response.json()) as { checks: Record<string, string> }
  return `${response.status} ${checks['packages']}`
}
const untilReady = (server: ServerProcess) =>
  until(async () => (await readiness(server)) === '200 ok', 'the server is ready')
const hasLogged = (server: ServerProcess, text: RegExp) => server.log.some(({ msg }) => text.test(msg))
const untilLogged = (server: ServerProcess, text: RegExp) =>
  until(() => hasLogged(server, text), `the server logs ${text}`)

describe('fetching the package set', () => {
  it('starts at startup; waiting clients are informed, and the server is not ready', async () => {
    const forge = await openSlowForge()
    const server = await workspace.serve({
      NIXERY_CHANNEL: 'stable',
      NIXERY_CHANNEL_URL: forge.url,
      NIXERY_MAX_WAIT: '1',
    })
    await forge.requested // without any pull
    const { response, text } = await requestV2(server, 'hello/manifests/latest')
    assert.equal(response.status, 429)
    assert.match(text, /the package set is still being fetched/)
    assert.equal(await readiness(server), '503 SOURCE_UNREACHABLE')
    await untilLogged(server, /^channel stable is being fetched/)

    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    const file = join(workspace.folder, 'slow.tar.gz')
    await execa('tar', ['-czf', file, '-C', set, '--transform', 's,^\\.,source,', '.'])
    forge.release(await readFile(file))
    await untilReady(server)
    await untilLogged(server, /^channel stable can be used/)
    const isServed = async () => (await requestV2(server, 'hello/manifests/latest')).response.status === 200
    await until(isServed, 'the image is served')
  })

  it('has a separate time limit', async () => {
    const forge = await openSlowForge()
    const server = await workspace.serve({
      NIXERY_CHANNEL: 'stable',
      NIXERY_CHANNEL_URL: forge.url,
      NIXERY_FETCH_TIMEOUT: '1',
    })
    const { status, message } = await failureOf(server, 'hello')
    assert.equal(status, 503)
    assert.match(message, /cannot be fetched in time/)
    await untilLogged(server, /the package set cannot be used: .*in time/)
  })
})

describe('a package set that cannot be used', () => {
  it('is reported at start, and by /readyz until it exists', async () => {
    const folder = join(workspace.folder, 'not-yet')
    const server = await workspace.serve({ NIXERY_PKGS_PATH: folder })
    assert.equal(await readiness(server), '503 SOURCE_INVALID')
    await untilLogged(server, /the package set cannot be used: there is no package set/)
    assert.ok(!server.log.some(({ msg }) => msg === 'ready'))
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    await mkdir(folder)
    await cp(join(set, 'default.nix'), join(folder, 'default.nix'))
    await untilReady(server)
  })
})
