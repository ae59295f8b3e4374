import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { clientsOf, runcRow } from '../images/clients.ts'
import type { Client } from '../support/clients/client.ts'
import { authorization } from '../support/base-images.ts'
import { pushBases, pushTampered, rows, writeRecipe } from '../support/bases.ts'
import { runNixery } from '../support/command.ts'
import { passwordFile, startDockerRegistry, type DockerRegistry } from '../support/docker-registry.ts'
import { requestV2, demoPackages, failureOf, openWorkspace, type Workspace } from '../support/workspace.ts'

// Images on base images from a real registry: a few Debian packages with merged `/usr`, and busybox. `npm run images` uses
// a complete Debian.

const all = process.env['NIXERY_IMAGES'] === 'all'
const clients = await clientsOf(all)
const runc = await runcRow()

let workspace: Workspace
let registry: DockerRegistry
let server: ServerProcess
let recipes: string
let packages: string
let data: string
const pinned = { debian: '', busybox: '', other: '' }
const settings = () => ({
  NIXERY_PKGS_PATH: packages,
  NIXERY_RECIPES: recipes,
  NIXERY_BASE_REGISTRIES: `${registry.address}/bases localhost:1`,
  NIXERY_PLATFORMS: 'amd64 arm64',
  REGISTRY_AUTH_FILE: join(workspace.folder, 'auth.json'),
})

before(async () => {
  workspace = await openWorkspace()
  const { folder } = workspace
  recipes = join(folder, 'recipes')
  await mkdir(recipes)
  const path = await passwordFile(join(folder, 'passwords'))
  registry = await startDockerRegistry(join(folder, 'registry'), {
    auth: { htpasswd: { realm: 'test', path } },
  })
  const auths = { [registry.address]: { auth: authorization.replace('Basic ', '') } }
  await writeFile(join(folder, 'auth.json'), JSON.stringify({ auths }))
  packages = await demoPackages()
  Object.assign(pinned, await pushBases(registry.address, folder, recipes, all))
  data = join(folder, 'data')
  server = await workspace.serve({ ...settings(), NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') })
})
after(async () => {
  await registry?.stop()
  await workspace.dispose()
})

const recipe = (name: string, lines: readonly string[]) => writeRecipe(recipes, name, lines)

type Manifest = {
  config: { digest: string }
  layers: { mediaType: string; digest: string; size: number }[]
  manifests?: { platform: { architecture: string } }[]
}
async function manifestOf(name: string, form = 'oci.image.manifest.v1', from = server) {
  const headers = { Accept: `application/vnd.${form}+json` }
  const { response, json, text } = await requestV2(from, `${name}/manifests/latest`, { headers })
  assert.equal(response.status, 200, text)
  return { manifest: json as Manifest, digest: response.headers.get('docker-content-digest') }
}

/** Docker 20.10 and umoci cannot read zstd. */
const hasZstd = (name: string) => name.startsWith('podman')

async function tryIn(client: Client, bases: readonly string[], first: readonly string[] = []): Promise<void> {
  for (const base of bases) {
    const image = `${server.address}/recipe/${base}`
    const pulled = await client.pull(image)
    assert.ok(pulled.ok, pulled.output)
    const own = rows.filter(([of]) => base.startsWith(of))
    const scripts = own.map(([, script]) => `(${script}) 2>&1; printf '\\001\\n'`).join('; ')
    const ran = await client.run?.(image, ...first, scripts)
    const outputs = (ran?.output ?? '').replaceAll('\r', '').split('\u0001')
    for (const [index, [, script, expected]] of own.entries())
      assert.equal(outputs[index]?.trim(), expected, `${script}: ${ran?.output}`)
  }
}

describe('programs of the base and of Nix run', () => {
  for (const { name, open, runs } of [...clients, runc]) {
    if (!runs || (!all && !['podman', 'docker'].includes(name)) || name.startsWith('containerd')) continue
    it(`in ${name}`, async () => {
      const client = await open(join(workspace.folder, name.replaceAll(' ', '-')))
      try {
        const bases = ['debian', ...(hasZstd(name) ? ['busybox', 'busybox-zstd'] : [])]
        await tryIn(client, bases, name === 'runc' ? ['/bin/sh', '-c'] : [])
      } finally {
        await client.dispose()
      }
    })
  }
})

describe('an image on a base', () => {
  it('has the unchanged layers of the base first, in both formats', async () => {
    const theirs = await fetch(`http://${registry.address}/v2/bases/debian/manifests/12`, {
      headers: {
        Accept: 'application/vnd.docker.distribution.manifest.v2+json',
        Authorization: authorization,
      },
    })
    const base = (await theirs.json()) as Manifest
    const docker = await manifestOf('recipe/debian', 'docker.distribution.manifest.v2')
    assert.deepEqual(docker.manifest.layers.slice(0, 2), base.layers)
    const oci = await manifestOf('recipe/debian')
    assert.deepEqual(
      oci.manifest.layers.slice(0, 2),
      base.layers.map((layer) => ({ ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' })),
    )
    const { json } = await requestV2(server, `recipe/debian/blobs/${oci.manifest.config.digest}`, {
      redirect: 'follow',
    })
    const { config } = json as { config: { Cmd?: string[]; Labels: Record<string, string> } }
    assert.equal(config.Labels['org.example.base'], 'debian')
    assert.equal(config.Cmd, undefined)
  })

  it('is built for each platform of the base', async () => {
    const { manifest } = await manifestOf('recipe/busybox', 'oci.image.index.v1')
    assert.deepEqual(
      manifest.manifests?.map(({ platform }) => platform.architecture),
      ['amd64', 'arm64'],
    )
    assert.equal(
      (await manifestOf('amd64/recipe/busybox-zstd')).manifest.layers[0]?.mediaType,
      'application/vnd.oci.image.layer.v1.tar+zstd',
    )
  })
})

describe('a base that cannot be used', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  it('is reported with the recipe, the field and what to do, and does not affect other recipes', async () => {
    const { address } = registry
    const tampered = await pushTampered(address, workspace.folder)
    const cases: Readonly<Record<string, readonly [base: string, status: number, message: RegExp]>> = {
      unlisted: [
        `${address}/elsewhere/a@${digest}`,
        422,
        /bases from this registry are not allowed: the operator can add .* to NIXERY_BASE_REGISTRIES/,
      ],
      unpinned: [
        `${address}/bases/debian:12`,
        422,
        /^unpinned\.toml:1:1: .* is not pinned, so it may change: run `nixery recipe lock`/,
      ],
      missing: [
        `${address}/bases/debian@${digest}`,
        422,
        /does not have bases\/debian@sha256:0.*: it was removed or never existed/,
      ],
      other: [pinned.other, 403, /it is for linux\/arm64, and not for linux\/amd64: choose another base/],
      unreachable: [`localhost:1/a@${digest}`, 502, /localhost:1 cannot be reached: ECONNREFUSED: try again/],
      tampered: [tampered, 422, /the registry sent content that does not match sha256:/],
    }
    for (const [name, [base]] of Object.entries(cases)) await recipe(name, [`base = "${base}"`])
    for (const [name, [, status, message]] of Object.entries(cases)) {
      let failure = await failureOf(server, `amd64/recipe/${name}`)
      // The server rescans the folder of recipes at intervals.
      while (failure.status === 404) failure = await failureOf(server, `amd64/recipe/${name}`)
      assert.equal(failure.status, status, failure.message)
      assert.match(failure.message, message)
      assert.match(failure.message, new RegExp(`recipe ${name}: base: `))
    }
    await manifestOf('amd64/recipe/busybox')
  })
})

describe('the command line', () => {
  const run = (...args: readonly string[]) =>
    runNixery(join(workspace.folder, 'cli'), packages, args, {
      env: { ...settings(), NIXERY_RECIPES: join(workspace.folder, 'to-lock') },
    })

  it('pins and checks bases', async () => {
    const folder = join(workspace.folder, 'to-lock')
    await mkdir(folder)
    const text = `# Debian.\nbase = '${registry.address}/bases/debian:12' # stable\npackages = ["hello"]\n`
    await writeFile(join(folder, 'web.toml'), text)
    await writeFile(join(folder, 'no.json'), `{ "base": "${registry.address}/bases/none:1" }`)
    const locked = await run('recipe', 'lock')
    assert.match(locked.stderr, /no\.json: base: .* does not have bases\/none:1/)
    assert.equal(locked.exitCode, 4)
    const digest = pinned.debian.replace(/.*@/, '')
    assert.equal(await readFile(join(folder, 'web.toml'), 'utf8'), text.replace(':12', `:12@${digest}`))
    await writeFile(join(folder, 'no.json'), `{ "base": "${pinned.other}", "platforms": ["amd64"] }`)
    const checked = await run('recipe', 'check')
    assert.match(
      checked.stderr,
      /^nixery: .*no\.json:1:3: recipe no: base: .*other.* it is for linux\/arm64, and not for linux\/amd64/m,
    )
    assert.doesNotMatch(checked.stderr, /^nixery: web/m)
  })
})

describe('without its registry', () => {
  it('gc keeps the layers of images, however old they are', async () => {
    const { manifest } = await manifestOf('recipe/debian')
    const store = join(data, 'store')
    for (const file of await readdir(store, { recursive: true }))
      if (/[0-9a-f]{64}$/.test(file)) await utimes(join(store, file), 1, 1)
    const ran = await runNixery(data, packages, ['gc', '--keep', '1'], { env: { STORAGE_PATH: store } })
    assert.equal(ran.exitCode, 0, ran.stderr)
    for (const { digest } of manifest.layers) {
      const { response } = await requestV2(server, `recipe/debian/blobs/${digest}`, { method: 'HEAD' })
      assert.equal(response.status, 200)
    }
  })

  it('an image has the same digest on two servers that build it', async () => {
    const { digest } = await manifestOf('recipe/debian')
    await recipe('debian2', [`base = "${pinned.debian}"`, 'packages = ["bash"]', 'platforms = ["amd64"]'])
    const fresh = await workspace.serve({ ...settings(), NIXERY_RECIPES: recipes })
    assert.equal((await manifestOf('recipe/debian', undefined, fresh)).digest, digest)
    await registry.stop()
    assert.ok((await manifestOf('recipe/debian2', undefined, fresh)).digest)
  })
})
