import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { replaceFile } from '../src/fs/replace-file.ts'
import { logOf } from './support/log.ts'
import { startNginx } from './support/nginx.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const as = (name: string) => ({ authorization: `Basic ${Buffer.from(`${name}:right`).toString('base64')}` })
const [alice, bob] = [as('alice'), as('bob')]

/** Alice may build everything except one package; everyone may pull existing images of some packages. */
const policy = `
[[rule]]
who = ["user:alice"]
may = ["pull", "build", "list", "logs"]
deny = ["forbidden"]

[[rule]]
who = ["everyone"]
may = ["pull", "list"]
packages = ["public*", "nothing"]
`

describe('NIXERY_POLICY', () => {
  let workspace: Workspace
  let server: ServerProcess
  let file: string
  let environment: Record<string, string>
  const get = (path: string, headers: Record<string, string> = {}, port = server.port) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers })
  const pull = (name: string, headers: Record<string, string>) => get(`/v2/${name}/manifests/latest`, headers)
  const errorOf = async (response: Response) => {
    const { errors } = (await response.json()) as { errors: [{ code: string; message: string }] }
    return [response.status, errors[0].code, errors[0].message]
  }
  const digestsOf = async (name: string, headers: Record<string, string>) => {
    const response = await pull(name, headers)
    assert.equal(response.status, 200)
    const { config, layers } = (await response.json()) as Record<'config', { digest: string }> & {
      layers: { digest: string }[]
    }
    return {
      manifest: response.headers.get('docker-content-digest') ?? '',
      blobs: [config, ...layers].map(({ digest }) => digest),
    }
  }
  before(async () => {
    workspace = await openWorkspace()
    const users = join(workspace.folder, 'users')
    file = join(workspace.folder, 'policy.toml')
    await writeFile(users, ['alice', 'bob'].map((name) => `${name}:${hashSync('right', 4)}\n`).join(''))
    await writeFile(file, policy)
    environment = {
      NIXERY_DATA: join(workspace.folder, 'data'),
      STORAGE_PATH: join(workspace.folder, 'store'),
      NIXERY_PKGS_PATH: await workspace.packageSet(`
        public = script "public" "echo public";
        public-late = script "public-late" "echo late";
        private = script "private" "echo private";
        forbidden = script "forbidden" "echo forbidden";
      `),
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: users,
      NIXERY_POLICY: file,
      NIXERY_CATALOG: 'on',
    }
    server = await workspace.serve(environment)
  })
  after(() => workspace.dispose())

  it('lets clients that may not build pull existing images, with one response for everything else', async () => {
    const expected = [403, 'DENIED', 'not ready here, and you may not build']
    assert.deepEqual(await errorOf(await pull('public', bob)), expected)
    assert.equal((await pull('public', alice)).status, 200)
    assert.equal((await pull('public', bob)).status, 200)
    assert.deepEqual(await errorOf(await pull('public-late', bob)), expected)
    assert.deepEqual(await errorOf(await pull('public-missing', bob)), expected)
    assert.deepEqual(await errorOf(await get('/v2/public/manifests/v9', bob)), expected)
    assert.deepEqual(await errorOf(await pull('nothing', bob)), expected)
    const log = await logOf(server)
    const builds = log.filter(({ msg }) => /build/.test(msg)).map((line) => JSON.stringify(line))
    assert.ok(!builds.some((line) => line.includes('public-late')))
  })

  it('suggests no names that a client may not pull', async () => {
    const [, , message] = await errorOf(await pull('publik', alice))
    assert.match(String(message), /For publik, did you mean public\?/)
    const [status, , denied] = await errorOf(await pull('forbiden', alice))
    assert.equal(status, 404)
    assert.equal(denied, 'Could not find Nix packages: [forbiden].')
    const started = () =>
      server.log.findLast(({ msg, image }) => msg === 'build started' && image === 'forbiden')
    await until(() => started() !== undefined, 'the log has the build')
    const page = await get(`/builds/${String(started()?.['build'])}`, alice)
    assert.equal(page.status, 200)
    assert.doesNotMatch(await page.text(), /did you mean/)
  })

  it('applies deny rules even if other rules allow a package', async () => {
    assert.deepEqual(await errorOf(await pull('forbidden', alice)), [403, 'DENIED', 'access denied'])
    assert.deepEqual(await errorOf(await pull('private', bob)), [403, 'DENIED', 'access denied'])
    assert.equal((await pull('private', {})).status, 401)
    assert.equal((await pull('public', {})).status, 200)
    assert.equal((await get('/v2/')).status, 401)
  })

  it('serves blobs and manifests only under names that a client may pull and that contain them', async () => {
    const secret = await digestsOf('private', alice)
    const open = await digestsOf('public', alice)
    const ofPrivateOnly = secret.blobs.filter((digest) => !open.blobs.includes(digest))
    assert.ok(ofPrivateOnly.length > 0)
    for (const digest of ofPrivateOnly) {
      assert.equal((await get(`/v2/private/blobs/${digest}`, alice)).status, 200)
      assert.equal((await get(`/v2/public/blobs/${digest}`, bob)).status, 404)
      assert.equal((await get(`/v2/private/blobs/${digest}`, bob)).status, 403)
      assert.equal((await get(`/v2/public/blobs/${digest}`)).status, 404)
    }
    assert.equal((await get(`/v2/private/manifests/${secret.manifest}`, alice)).status, 200)
    assert.deepEqual(await errorOf(await get(`/v2/public/manifests/${secret.manifest}`, bob)), [
      404,
      'MANIFEST_UNKNOWN',
      'no manifest has this digest',
    ])
    for (const digest of open.blobs) assert.equal((await get(`/v2/public/blobs/${digest}`, bob)).status, 200)
    assert.equal((await get(`/v2/public/manifests/${open.manifest}`, bob)).status, 200)
    assert.equal((await get(`/v2/public/blobs/sha256:${'0'.repeat(64)}`, bob)).status, 404)
  })

  it('allows the same after a restart', async () => {
    const { manifest, blobs } = await digestsOf('public', alice)
    const secret = await digestsOf('private', alice)
    await server.stop()
    server = await workspace.serve(environment)
    for (const digest of blobs) assert.equal((await get(`/v2/public/blobs/${digest}`, bob)).status, 200)
    assert.equal((await get(`/v2/public/manifests/${manifest}`, bob)).status, 200)
    assert.equal((await get(`/v2/public/manifests/${secret.manifest}`, bob)).status, 404)
    assert.equal((await pull('public', bob)).status, 200)
    assert.equal((await pull('public-late', bob)).status, 403)
  })

  it('lists only repositories that a client may pull', async () => {
    const names = async (headers: Record<string, string>) =>
      ((await (await get('/v2/_catalog', headers)).json()) as { repositories: string[] }).repositories
    await until(async () => (await names(alice)).includes('private'))
    assert.deepEqual(await names(alice), ['private', 'public'])
    assert.deepEqual(await names(bob), ['public'])
    assert.equal((await get('/v2/private/tags/list', bob)).status, 403)
    assert.equal((await get('/v2/public/tags/list', bob)).status, 200)
  })

  it('keeps responses out of a caching proxy', async () => {
    const folder = join(workspace.folder, 'nginx')
    const nginx = await startNginx(
      folder,
      (port) => `proxy_cache_path ${folder}/cache keys_zone=all:1m;
        server {
          listen 127.0.0.1:${port};
          location / { proxy_pass http://${server.address}; proxy_cache all; add_header X-Cache $upstream_cache_status; }
        }`,
    )
    const port = Number(nginx.address.split(':')[1])
    try {
      const { manifest, blobs } = await digestsOf('private', alice)
      for (const path of [`blobs/${blobs[0]}`, `manifests/${manifest}`, 'manifests/latest']) {
        for (let times = 0; times < 2; times++) {
          const response = await get(`/v2/private/${path}`, alice, port)
          assert.equal(response.status, 200)
          assert.equal(response.headers.get('x-cache'), 'MISS')
        }
        assert.equal((await get(`/v2/private/${path}`, bob, port)).status, 403)
        assert.equal((await get(`/v2/private/${path}`, {}, port)).status, 401)
      }
    } finally {
      await nginx.stop()
    }
  })

  it('reloads a changed file, and keeps the rules if the file is invalid or missing', async () => {
    await replaceFile(file, policy.replace('"public*"', '"public*", "private"'))
    await until(async () => (await pull('private', bob)).status === 200)
    await replaceFile(file, '[[rule]]\nwho = ["everybody"]\n')
    await until(() => JSON.stringify(server.log).includes('line 2, rule 1, who 1: '))
    assert.equal((await pull('private', bob)).status, 200)
    await rm(file)
    await until(() => JSON.stringify(server.log).includes('stay in use: ENOENT'))
    assert.equal((await pull('private', bob)).status, 200)
    await replaceFile(file, policy)
    await until(async () => (await pull('private', bob)).status === 403)
  })

  it('is explained by `nixery access explain`', async () => {
    const explain = async (...args: readonly string[]) => {
      const env = {
        NIXERY_AUTH: 'basic',
        NIXERY_HTPASSWD: file,
        NIXERY_POLICY: file,
        NIXERY_HOST: '127.0.0.1',
      }
      const program = join(import.meta.dirname, '..', 'bin', 'nixery')
      return (await execa(program, ['access', 'explain', ...args], { env })).stdout
    }
    assert.equal(
      await explain('--as', 'alice', '--as', 'group:dev', 'build', 'public/private'),
      'private/public: may build, by the rule in line 2',
    )
    assert.equal(
      await explain('--as', 'anonymous', 'pull', 'private'),
      'private: may not pull: no rule allows private',
    )
    assert.equal(
      await explain('--as=alice', 'pull', 'forbidden'),
      'forbidden: may not pull: forbidden is denied by the rule in line 2',
    )
  })
})
