import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { replaceFile } from '../src/fs/replace-file.ts'
import { launcher } from './support/command.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const as = (name: string) => ({ authorization: `Basic ${btoa(`${name}:right`)}` })

const policy = `
[[rule]]
who = ["user:alice"]
may = ["pull", "build"]
deny = ["forbidden"]

[[rule]]
who = ["user:bob"]
may = ["pull", "build"]
packages = ["public"]
recipes = ["*"]

[[rule]]
who = ["user:carol"]
may = ["pull", "list", "logs"]
`

describe('rules about recipes of the operator', () => {
  let workspace: Workspace
  let server: ServerProcess
  let environment: Record<string, string>
  let recipes: string
  let witness: Server
  const evaluated: string[] = []

  before(async () => {
    workspace = await openWorkspace()
    // The evaluation of `late` requests URLs of this server.
    witness = createServer(({ url = '' }, response) => {
      evaluated.push(url)
      response.end('seen')
    })
    await new Promise<void>((resolve) => witness.listen(0, '127.0.0.1', resolve))
    const { port } = witness.address() as AddressInfo
    const fetchText = (what: string) =>
      `\${builtins.readFile (builtins.fetchurl "http://127.0.0.1:${port}/${what}")}`
    recipes = join(workspace.folder, 'recipes')
    await mkdir(recipes)
    await writeFile(join(recipes, 'web.toml'), 'packages = ["public"]\n')
    await writeFile(join(recipes, 'bad.toml'), 'packages = ["forbidden"]\n')
    await writeFile(join(recipes, 'via.toml'), 'include = ["bad"]\n')
    await writeFile(join(workspace.folder, 'policy.toml'), policy)
    const users = ['alice', 'bob', 'carol'].map((name) => `${name}:${hashSync('right', 4)}\n`)
    await writeFile(join(workspace.folder, 'users'), users.join(''))
    environment = {
      NIXERY_HOST: '127.0.0.1',
      NIXERY_PKGS_PATH: await workspace.packageSet(`
        public = script "public" "echo public";
        forbidden = script "forbidden" "echo forbidden";
        late = script "late" "${fetchText('late')}";
        images = {
          inset = { packages = [ "forbidden" ]; };
          late = { packages = [ "public" ]; env.X = "${fetchText('images.late')}"; };
        };
      `),
      NIXERY_RECIPES: recipes,
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: join(workspace.folder, 'users'),
      NIXERY_POLICY: join(workspace.folder, 'policy.toml'),
    }
    server = await workspace.serve(environment)
  })
  after(async () => {
    witness.close()
    await workspace.dispose()
  })

  const get = (path: string, who: string) => fetch(`http://${server.address}${path}`, { headers: as(who) })
  const pull = async (name: string, who: string) => {
    const response = await get(`/v2/${name}/manifests/latest`, who)
    const text = await response.text()
    return { status: response.status, text, digest: response.headers.get('docker-content-digest') ?? '' }
  }

  it('evaluate nothing for clients that may not build, whatever the name', async () => {
    for (const name of [
      'late',
      'recipe/late',
      'recipe/late/late',
      'shell/late',
      'late--1',
      'arm64/late',
      'missing',
    ]) {
      const { status, text } = await pull(name, 'carol')
      assert.equal(status, 403, name)
      assert.match(text, /not ready here, and you may not build/, name)
    }
    assert.equal((await get('/v2/late/manifests/v9', 'carol')).status, 403)
    assert.equal((await get('/v2/late/tags/list', 'carol')).status, 200)
    const searched = await get('/api/v1/search?q=late', 'carol')
    assert.equal(((await searched.json()) as { state: string }).state, 'unavailable')
    assert.deepEqual(evaluated, [])
    // Builds of permitted clients evaluate it.
    assert.equal((await pull('recipe/late', 'alice')).status, 200)
    assert.deepEqual(evaluated, ['/images.late'])
  })

  it('allow a recipe with all its packages, which need no other rule', async () => {
    for (const name of ['recipe/web', 'recipe/bad', 'recipe/via', 'recipe/inset'])
      assert.equal((await pull(name, 'bob')).status, 200, name)
    assert.equal((await pull('forbidden', 'bob')).status, 403)
    assert.equal((await pull('recipe/web/forbidden', 'bob')).status, 403)
  })

  it('deny a recipe with a denied package, by name and by digest', async () => {
    for (const name of ['recipe/bad', 'recipe/via', 'recipe/inset', 'recipe/bad/public']) {
      const { status, text } = await pull(name, 'alice')
      assert.equal(status, 403, name)
      assert.match(text, /access denied/, name)
    }
    assert.equal((await pull('recipe/web', 'alice')).status, 200)
    const { digest } = await pull('recipe/bad', 'bob')
    assert.equal((await get(`/v2/recipe/bad/manifests/${digest}`, 'bob')).status, 200)
    assert.equal((await get(`/v2/recipe/bad/manifests/${digest}`, 'alice')).status, 403)
    assert.equal((await get('/v2/recipe/unknown/manifests/latest', 'alice')).status, 404)
  })

  it('follow the recipe when it changes', async () => {
    await replaceFile(join(recipes, 'web.toml'), 'packages = ["public", "forbidden"]\n')
    await until(
      async () => (await pull('recipe/web', 'alice')).status === 403,
      'the changed recipe is denied',
    )
  })

  it('are explained by `nixery access explain`', async () => {
    const explain = async (image: string) =>
      (await execa(launcher, ['access', 'explain', '--as=alice', 'pull', image], { env: environment })).stdout
    assert.equal(await explain('recipe/via'), 'recipe/via: may not pull: via is denied by the rule in line 2')
  })
})
