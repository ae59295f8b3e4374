import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { replaceFile } from '../src/fs/replace-file.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const line = (name: string, password: string) => `${name}:${hashSync(password, 4).replace(/^\$2b/, '$2y')}\n`
const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})

/** Repeats a request until the response has this status, because servers reload changed files after a second or two. */
async function untilStatus(send: () => Promise<Response>, status: number): Promise<void> {
  await until(async () => (await send()).status === status)
}

describe('NIXERY_AUTH=basic', () => {
  let workspace: Workspace
  let server: ServerProcess
  let users: string
  let set: string
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://${server.address}${path}`, { headers })
  const printed = () => JSON.stringify(server.log)
  before(async () => {
    workspace = await openWorkspace()
    users = join(workspace.folder, 'users')
    await writeFile(users, line('alice', 'right'))
    set = await workspace.packageSet('hello = script "hello" "echo hello";')
    server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: users,
      NIXERY_CATALOG: 'on',
    })
  })
  after(() => workspace.dispose())

  it('requires a name and a password, in the format of the spec, except for health checks', async () => {
    for (const path of ['/v2/', '/v2/hello/manifests/latest', '/v2/_catalog', '/', '/metrics']) {
      for (const headers of [
        {},
        basic('alice', 'wrong'),
        basic('mallory', 'right'),
        { authorization: 'Bearer x' },
      ]) {
        const response = await get(path, headers)
        assert.equal(response.status, 401, path)
        assert.equal(response.headers.get('www-authenticate'), 'Basic realm="Nixery", charset="UTF-8"')
        const { errors } = (await response.json()) as { errors: { code: string }[] }
        assert.equal(errors[0]?.code, 'UNAUTHORIZED')
      }
    }
    assert.equal((await get('/healthz')).status, 200)
    assert.equal((await get('/readyz')).status, 200)
  })

  it('serves authenticated clients, none of whom is an administrator', async () => {
    const headers = basic('alice', 'right')
    assert.equal((await get('/v2/', headers)).status, 200)
    const manifest = await get('/v2/hello/manifests/latest', headers)
    assert.equal(manifest.status, 200)
    assert.equal(manifest.headers.get('cache-control'), 'private, no-cache')
    assert.equal(manifest.headers.get('vary'), 'Accept, Authorization')
    const { config } = (await manifest.json()) as { config: { digest: string } }
    const blob = await get(`/v2/hello/blobs/${config.digest}`, headers)
    assert.equal(blob.headers.get('cache-control'), 'private, max-age=31536000, immutable')
    assert.equal(blob.headers.get('vary'), 'Authorization')
    assert.equal((await get(`/v2/hello/blobs/${config.digest}`)).status, 401)
    assert.equal((await get('/metrics', headers)).status, 403)
  })

  it('works with skopeo', async () => {
    const inspect = (...args: readonly string[]) =>
      execa('skopeo', ['inspect', '--tls-verify=false', ...args, `docker://${server.address}/hello`], {
        reject: false,
      })
    assert.match((await inspect('--creds=alice:right')).stdout, /"Digest"/)
    for (const args of [['--no-creds'], ['--creds=alice:wrong']]) {
      const { failed, stderr } = await inspect(...args)
      assert.ok(failed)
      assert.match(stderr, /authentication required|unauthorized/i)
    }
  })

  it('reloads the users when the file changes, and keeps them while it is invalid or missing', async () => {
    await replaceFile(users, line('alice', 'new') + line('bob', 'his'))
    await untilStatus(() => get('/v2/', basic('bob', 'his')), 200)
    assert.equal((await get('/v2/', basic('alice', 'right'))).status, 401)
    assert.equal((await get('/v2/', basic('alice', 'new'))).status, 200)
    await replaceFile(users, 'bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n')
    await until(() => /line 1: bob has a SHA-1 password/.test(printed()))
    await rm(users)
    await until(() => /stay in use: ENOENT/.test(printed()))
    assert.equal((await get('/v2/', basic('bob', 'his'))).status, 200)
    assert.ok(!printed().includes('W6ph5Mm5'))
    await replaceFile(users, line('alice', 'right'))
    await untilStatus(() => get('/v2/', basic('bob', 'his')), 401)
  })

  it('does not start without users, or if passwords would be sent unencrypted', async () => {
    const start = (environment: Readonly<Record<string, string>>) =>
      workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_AUTH: 'basic', ...environment })
    await assert.rejects(start({}), /NIXERY_HTPASSWD is needed/)
    await assert.rejects(
      start({ NIXERY_HOST: '0.0.0.0', NIXERY_HTPASSWD: users }),
      /passwords would cross the network to 0\.0\.0\.0/,
    )
    const missing = { NIXERY_HTPASSWD: join(workspace.folder, 'nothing') }
    await assert.rejects(start(missing), /NIXERY_HTPASSWD, .*nothing, cannot be read: ENOENT/)
  })
})
