import assert from 'node:assert/strict'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import type { ServerProcess } from '../scripts/server.ts'
import { openSqliteCatalog } from '../src/catalog/sqlite.ts'
import { makeApiKey } from '../src/credentials/api-key.ts'
import { replaceFile } from '../src/fs/replace-file.ts'
import { allPrograms, run } from './support/clients/client.ts'
import { openDocker } from './support/clients/docker.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const user = (name: string, password: string) => `${name}:${hashSync(password, 4)}\n`
const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const policy = (open: string) => `
[[rule]]
who = ["user:*"]
may = ["pull", "build", "list"]

[[rule]]
who = ["everyone"]
may = ["pull", "build"]
packages = ["${open}"]
`

type TokenResponse = {
  token: string
  access_token: string
  expires_in: number
  issued_at: string
  scope: string
  refresh_token?: string
}

describe('NIXERY_AUTH=token', () => {
  let workspace: Workspace
  let server: ServerProcess
  let environment: Record<string, string>
  const inFolder = (name: string) => join(workspace.folder, name)
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://${server.address}${path}`, { headers })
  const pull = (name: string, token: string) => get(`/v2/${name}/manifests/latest`, bearer(token))
  const post = (fields: Record<string, string>) =>
    fetch(`http://${server.address}/token`, { method: 'POST', body: new URLSearchParams(fields) })
  const scopeOf = (name: string) => `repository:${name}:pull`
  async function tokenResponseOf(response: Response): Promise<TokenResponse> {
    assert.equal(response.status, 200, await response.clone().text())
    return (await response.json()) as TokenResponse
  }
  const tokenFor = async (name: string, headers: Record<string, string> = {}) =>
    (await tokenResponseOf(await get(`/token?service=nixery&scope=${scopeOf(name)}`, headers))).token
  const errorOf = async (response: Response) => {
    const { errors } = (await response.json()) as { errors: [{ code: string; message: string }] }
    return [response.status, errors[0].code, errors[0].message]
  }

  before(async () => {
    workspace = await openWorkspace()
    await writeFile(inFolder('users'), user('alice', 'right') + user('bob', 'his'))
    await writeFile(inFolder('policy.toml'), policy('public'))
    environment = {
      NIXERY_DATA: inFolder('data'),
      NIXERY_PKGS_PATH: await workspace.packageSet(`
        public = script "public" "echo public";
        private = script "private" "echo private";
        other = script "other" "echo other";
      `),
      NIXERY_AUTH: 'token',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_POLICY: inFolder('policy.toml'),
    }
    server = await workspace.serve(environment)
  })
  after(() => workspace.dispose())

  it('requires a token for all registry requests, even for public images', async () => {
    const realm = `Bearer realm="http://${server.address}/token",service="nixery"`
    for (const [path, scope] of [
      ['/v2/', ''],
      ['/v2/public/manifests/latest', ',scope="repository:public:pull"'],
      ['/v2/private/tags/list', ',scope="repository:private:pull"'],
    ] as const) {
      const response = await get(path)
      assert.deepEqual(await errorOf(response), [401, 'UNAUTHORIZED', 'authentication is required'])
      assert.equal(response.headers.get('www-authenticate'), `${realm}${scope}`)
    }
    const wrong = await get('/v2/', bearer('x.y.z'))
    assert.equal(wrong.headers.get('www-authenticate'), `${realm},error="invalid_token"`)
    assert.equal((await get('/healthz')).status, 200)
  })

  it('issues anonymous tokens that allow pulls of public images', async () => {
    const response = await get(`/token?service=nixery&scope=${scopeOf('public')}&scope=${scopeOf('private')}`)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    const body = await tokenResponseOf(response)
    assert.equal(body.token, body.access_token)
    assert.equal(body.expires_in, 300)
    assert.ok(Math.abs(Date.parse(body.issued_at) - Date.now()) < 60_000)
    assert.equal(body.scope, scopeOf('public'))
    assert.equal((await pull('public', body.token)).status, 200)
    assert.deepEqual(await errorOf(await pull('private', body.token)), [
      401,
      'UNAUTHORIZED',
      'authentication is required',
    ])
  })

  it('issues tokens for the requested repositories, in any spelling', async () => {
    const token = await tokenFor('private/other', basic('alice', 'right'))
    for (const name of ['private/other', 'other/private']) assert.equal((await pull(name, token)).status, 200)
    const weak = await pull('private', token)
    assert.equal(weak.status, 401)
    assert.match(
      weak.headers.get('www-authenticate') ?? '',
      /,scope="repository:private:pull",error="insufficient_scope"$/,
    )
    // A login requests no scope.
    const { token: login } = await tokenResponseOf(
      await get('/token?service=nixery', basic('alice', 'right')),
    )
    assert.equal((await get('/v2/', bearer(login))).status, 200)
    // Clients such as curl may send the password with the request itself.
    assert.equal((await get('/v2/private/manifests/latest', basic('alice', 'right'))).status, 200)
  })

  it('issues tokens for form requests, and accepts refresh tokens until the password changes', async () => {
    const form = { grant_type: 'password', username: 'bob', password: 'his', service: 'nixery' }
    const request = { ...form, scope: `${scopeOf('private')} ${scopeOf('other')}`, access_type: 'offline' }
    const {
      access_token: token,
      refresh_token: refresh = '',
      scope,
    } = await tokenResponseOf(await post(request))
    assert.equal(scope, request.scope)
    for (const name of ['private', 'other']) assert.equal((await pull(name, token)).status, 200)
    assert.equal((await tokenResponseOf(await post(form))).refresh_token, undefined)

    const refreshForm = { grant_type: 'refresh_token', refresh_token: refresh, scope: scopeOf('private') }
    assert.equal((await pull('private', (await tokenResponseOf(await post(refreshForm))).token)).status, 200)
    await replaceFile(inFolder('users'), user('alice', 'right') + user('bob', 'changed'))
    await until(async () => (await post(refreshForm)).status === 401, 'the old refresh token is refused')
    assert.equal((await post({ ...form, password: 'changed' })).status, 200)
    await replaceFile(inFolder('users'), user('alice', 'right'))
    await until(
      async () => (await pull('private', token)).status === 401,
      'the token of a removed user is refused',
    )
  })

  it('refuses wrong credentials and invalid forms', async () => {
    for (const response of [
      await get('/token', basic('alice', 'wrong')),
      await get('/token', basic('mallory', 'right')),
      await get('/token', { authorization: 'Digest x' }),
      await post({ grant_type: 'password', username: 'alice', password: 'wrong' }),
      await post({ grant_type: 'refresh_token', refresh_token: 'x' }),
    ]) {
      assert.equal(response.headers.get('www-authenticate'), 'Basic realm="Nixery", charset="UTF-8"')
      assert.deepEqual(await errorOf(response), [401, 'UNAUTHORIZED', 'these credentials are not valid'])
    }
    assert.equal((await post({ grant_type: 'magic' })).status, 400)
    assert.equal((await post({ grant_type: 'password', scope: 'x'.repeat(100_000) })).status, 400)
    const put = await fetch(`http://${server.address}/token`, { method: 'PUT', body: 'x' })
    assert.deepEqual([put.status, put.headers.get('allow')], [405, 'GET, POST'])
    // Invalid scopes are ignored.
    for (const scope of ['repository::pull', 'repository:a b:pull', 'x', 'registry:catalog:*', '%00'])
      assert.equal((await get(`/token?scope=${scope}`)).status, 200)
    assert.ok(!JSON.stringify(server.log).includes('alice:wrong'))
  })

  it('decides at each request: changed rules and revoked keys also apply to issued tokens', async () => {
    const catalog = await openSqliteCatalog(join(inFolder('data'), 'catalog.db'))
    const { key, id, hash } = makeApiKey()
    const now = Math.floor(Date.now() / 1000)
    await catalog.apiKeys.add({ id, name: 'ci', hash, groups: [], createdAt: now, expiresAt: now + 900 })
    const ofKey = await tokenFor('private', basic('x', key))
    const anonymous = await tokenFor('other')
    assert.equal((await pull('private', ofKey)).status, 200)
    await catalog.apiKeys.revoke(id, now)
    await catalog.close()
    assert.equal((await pull('private', ofKey)).status, 401)

    assert.equal((await pull('other', anonymous)).status, 401)
    await replaceFile(inFolder('policy.toml'), policy('other'))
    await until(async () => (await pull('other', anonymous)).status === 200, 'the new rules apply')
    await replaceFile(inFolder('policy.toml'), policy('public'))
    await until(async () => (await pull('other', anonymous)).status === 401, 'the old rules apply again')
  })

  it('keeps its key across a restart', async () => {
    const token = await tokenFor('private', basic('alice', 'right'))
    assert.equal((await stat(join(inFolder('data'), 'token.key'))).mode & 0o777, 0o600)
    assert.equal(await server.stop(), 0)
    server = await workspace.serve(environment)
    assert.equal((await pull('private', token)).status, 200)
  })

  it('works with docker, without a login and after one, which it stores as a refresh token', async (test) => {
    const [programs] = await allPrograms()
    if (programs === undefined || 'missing' in programs) return test.skip('docker is not installed')
    const folder = inFolder('docker')
    const docker = await openDocker(programs, folder)
    test.after(() => docker.dispose())
    const image = (name: string) => `${server.address}/${name}`
    const open = await docker.pull(image('public'))
    assert.equal(open.ok, true, open.output)
    const refused = await docker.pull(image('private'))
    assert.equal(refused.ok, false)
    assert.match(refused.output, /authentication is required|unauthorized|denied/)

    await mkdir(join(folder, 'client'), { recursive: true })
    const env = { DOCKER_HOST: `unix://${join(folder, 'socket')}`, DOCKER_CONFIG: join(folder, 'client') }
    const login = (password: string) =>
      run(programs, 'docker', ['login', '--username=alice', `--password=${password}`, server.address], env)
    await assert.rejects(login('wrong'), /not valid|unauthorized/)
    await login('right')
    const pulled = await docker.pull(image('private'))
    assert.equal(pulled.ok, true, pulled.output)
  })
})
