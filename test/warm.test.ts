import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { createWarmer } from '../src/builds/warmer.ts'
import { buildImage } from '../src/builds/builds.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import { readConfig } from '../src/config.ts'
import type { Digest } from '../src/image/digest.ts'
import { parseImageReference } from '../src/image/name.ts'
import { defaultPlatform } from '../src/image/platform.ts'
import { collect } from '../src/upkeep/gc.ts'
import { logOf } from './support/log.ts'
import { until } from './support/until.ts'
import { openLocalWorker, type LocalWorker } from './support/worker.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
const open: LocalWorker[] = []
before(async () => {
  workspace = await openWorkspace()
})
afterEach(async () => {
  for (const worker of open.splice(0)) await worker.close()
})
after(() => workspace.dispose())

const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')
const packages = 'hello = script "hello" "echo hi"; other = script "other" "echo ho";'

describe('images to keep ready', () => {
  it('are built ahead of demand, and popular ones again when packages have changed', async () => {
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
    const worker = await openLocalWorker(config, {
      listener: (_, event) => void events.push(event),
      note: () => {},
      warn: () => {},
    })
    open.push(worker)
    const started = () => events.splice(0).flatMap((event) => (event.type === 'started' ? [event.image] : []))
    const pull = (name: string) => buildImage(worker.builds, parseImageReference(name), { requestId: 'test' })
    const warmer = createWarmer({
      ...worker,
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
    assert.deepEqual(started(), [], 'each image is tried once per revision')
    await pull('hello')
    assert.deepEqual(started(), [], 'a pull starts no build')

    const old = await pull('other')
    started()
    const isRecorded = async () =>
      (await worker.catalog.mostPulled(2)).some(({ repository }) => repository === 'other')
    await until(isRecorded, 'the catalog has the pull')
    const file = join(set, 'default.nix')
    await writeFile(file, (await readFile(file, 'utf8')).replace('echo ho', 'echo hey'))
    await warmer.round()
    assert.deepEqual(started().sort(), ['hello', 'missing', 'other'])
    assert.notDeepEqual(await pull('other'), old)
    assert.deepEqual(started(), [])

    // A removed package results in one warning, not in an error for each image.
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
    assert.deepEqual(started(), [], 'a stopped warmer builds nothing')
  })

  it('count as used, and are rebuilt when they are missing', async () => {
    const set = await workspace.packageSet(packages)
    const data = join(workspace.folder, 'gone')
    const config = readConfig({ NIXERY_PKGS_PATH: set, NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') })
    const worker = await openLocalWorker(config, { listener: () => {}, note: () => {}, warn: assert.fail })
    open.push(worker)
    const used = new Set<Digest>()
    const warmer = createWarmer({
      ...worker,
      names: [parseImageReference('hello')],
      top: 0,
      platformsOf: () => [defaultPlatform],
      every: 3600,
      onUse: (digest) => used.add(digest),
      warn: assert.fail,
    })
    await warmer.round()
    const digests = [...used]
    assert.equal(digests.length, 2)
    used.clear()
    await warmer.round()
    assert.deepEqual([...used], digests, 'every round reports the use')

    // As if another process, which does not know of the warmer, collected expired images.
    const { catalog, store, blobs } = worker
    const deleting = (digest: Digest) => void blobs.doubt(digest)
    const later = { keepDays: 0, dryRun: false, now: Date.now() / 1000 + 10 * 3600 }
    const { images } = await collect({ catalog, store, deleting }, later)
    assert.equal(images.length, 1)
    for (const digest of digests) assert.equal(await blobs.find(digest), undefined)
    await warmer.round()
    for (const digest of digests) assert.ok(await blobs.find(digest))
  })

  it('are ready soon after the server has started', async () => {
    const set = await workspace.packageSet(packages)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_WARM: 'hello,other:latest' })
    const finished = () => server.log.filter(({ msg }) => msg === 'build finished').length
    await until(() => finished() === 2, 'both images are built')
    for (const name of ['hello', 'other']) {
      assert.equal((await requestV2(server, `${name}/manifests/latest`)).response.status, 200)
    }
    assert.equal((await logOf(server)).filter(({ msg }) => msg === 'build started').length, 2)
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
    assert.ok(!(await logOf(server)).some(({ msg }) => msg === 'layer packed'))
    const missing = await execa(launcher, ['warm', 'hello', 'missing'], { env, reject: false })
    assert.equal(missing.exitCode, 3)
    assert.match(missing.stderr, /Could not find Nix packages: \[missing\]/)
  })
})
