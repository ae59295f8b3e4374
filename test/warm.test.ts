import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { createWarmer } from '../src/builds/warmer.ts'
import { buildImage } from '../src/builds/builds.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import { readConfig } from '../src/config.ts'
import type { Digest } from '../src/image/digest.ts'
import { parseImageReference } from '../src/image/name.ts'
import { defaultPlatform } from '../src/image/platform.ts'
import { collect } from '../src/upkeep/gc.ts'
import { openLocalWorker, type LocalWorker } from './support/worker.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
const open: LocalWorker[] = []
before(async () => {
  workspace = await openWorkspace()
})
afterEach(async () => {
  for (const workshop of open.splice(0)) await workshop.close()
})
after(() => workspace.dispose())

const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')
const packages = 'hello = script "hello" "echo hi"; other = script "other" "echo ho";'

describe('images to keep ready', () => {
  it('are built ahead of demand, and the most pulled ones again when packages have changed', async () => {
    const set = await workspace.packageSet(packages)
    const data = join(workspace.folder, 'warm')
    const config = readConfig({
      NIXERY_PKGS_PATH: set,
      NIXERY_PATH_STALE: '0',
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
    })
    const events: BuildEvent[] = []
    const warnings: string[] = []
    const workshop = await openLocalWorker(config, {
      listener: (_, event) => void events.push(event),
      note: () => {},
      warn: () => {},
    })
    open.push(workshop)
    const started = () => events.splice(0).flatMap((event) => (event.type === 'started' ? [event.image] : []))
    const pull = (name: string) =>
      buildImage(workshop.builds, parseImageReference(name), { requestId: 'test' })
    const warmer = createWarmer({
      ...workshop,
      names: [parseImageReference('hello'), parseImageReference('missing')],
      top: 2,
      platformsOf: () => [defaultPlatform],
      every: 3600,
      onUse: () => {},
      warn: (line) => warnings.push(line),
    })

    await warmer.round()
    assert.deepEqual(started(), ['hello', 'missing'])
    assert.match(
      warnings.join('\n'),
      /cannot make missing:latest on amd64 ready: Could not find Nix packages/,
    )
    await warmer.round()
    assert.deepEqual(started(), [], 'nothing is tried twice for one revision')
    await pull('hello')
    assert.deepEqual(started(), [], 'what was made ahead is answered at once')

    const old = await pull('other')
    started()
    await sleep(2_500) // until the catalog is told what was pulled
    const file = join(set, 'default.nix')
    await writeFile(file, (await readFile(file, 'utf8')).replace('echo ho', 'echo hey'))
    await warmer.round()
    assert.deepEqual(started().sort(), ['hello', 'missing', 'other'])
    assert.notDeepEqual(await pull('other'), old)
    assert.deepEqual(started(), [])

    // The set of today does not have what was pulled yesterday: that is one line, and no error for each image.
    warnings.length = 0
    await writeFile(file, (await readFile(file, 'utf8')).replace('other =', 'another ='))
    await warmer.round()
    await warmer.round()
    assert.deepEqual(
      warnings.filter((line) => !line.includes('missing')),
      ['1 of the images that were pulled most are no longer in the package set'],
    )
    started()

    warmer.stop()
    await appendFile(file, '\n')
    await warmer.round()
    assert.deepEqual(started(), [], 'once stopped, nothing is begun')
  })

  it('are in use, and rebuilt when they are missing', async () => {
    const set = await workspace.packageSet(packages)
    const data = join(workspace.folder, 'gone')
    const config = readConfig({ NIXERY_PKGS_PATH: set, NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') })
    const workshop = await openLocalWorker(config, { listener: () => {}, note: () => {}, warn: assert.fail })
    open.push(workshop)
    const used = new Set<Digest>()
    const warmer = createWarmer({
      ...workshop,
      names: [parseImageReference('hello')],
      top: 0,
      platformsOf: () => [defaultPlatform],
      every: 3600,
      onUse: (digest) => used.add(digest),
      warn: assert.fail,
    })
    await warmer.round()
    const made = [...used]
    assert.equal(made.length, 2)
    used.clear()
    await warmer.round()
    assert.deepEqual([...used], made, 'in every round')

    // As when another process cleans up that knows nothing of this one, when all is old.
    const { catalog, store, blobs } = workshop
    const deleting = (digest: Digest) => void blobs.doubt(digest)
    const later = { keepDays: 0, dryRun: false, now: Date.now() / 1000 + 10 * 3600 }
    const { images } = await collect({ catalog, store, deleting }, later)
    assert.equal(images.length, 1)
    for (const digest of made) assert.equal(await blobs.find(digest), undefined)
    await warmer.round()
    for (const digest of made) assert.ok(await blobs.find(digest))
  })

  it('are ready soon after the server has started', async () => {
    const set = await workspace.packageSet(packages)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_WARM: 'hello,other:latest' })
    while (server.log.filter(({ msg }) => msg === 'build finished').length < 2) await sleep(50)
    for (const name of ['hello', 'other']) {
      assert.equal((await requestV2(server, `${name}/manifests/latest`)).response.status, 200)
    }
    assert.equal(server.log.filter(({ msg }) => msg === 'build started').length, 2)
  })

  it('are refused as configuration if they are not valid names', async () => {
    await assert.rejects(workspace.serve({ NIXERY_WARM: 'hello bad//name' }), /NIXERY_WARM/)
  })

  it('can be created by a command', async () => {
    const set = await workspace.packageSet(packages)
    const data = join(workspace.folder, 'command')
    const env = { NIXERY_PKGS_PATH: set, NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') }
    const { stdout } = await execa(launcher, ['warm', 'hello', 'other:latest', '--json'], { env })
    const { ready } = JSON.parse(stdout) as { ready: { image: string; digest: string }[] }
    assert.deepEqual(
      ready.map(({ image }) => image),
      ['hello:latest', 'other:latest'],
    )
    const server = await workspace.serve(env)
    const { response } = await requestV2(server, 'hello/manifests/latest', {
      headers: { Accept: 'application/vnd.oci.image.manifest.v1+json' },
    })
    assert.equal(response.headers.get('Docker-Content-Digest'), ready[0]?.digest)
    assert.ok(!server.log.some(({ msg }) => msg === 'layer packed'))
    const missing = await execa(launcher, ['warm', 'hello', 'missing'], { env, reject: false })
    assert.equal(missing.exitCode, 3)
    assert.match(missing.stderr, /Could not find Nix packages: \[missing\]/)
  })
})
