import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { execa } from 'execa'
import { buildImage } from '../src/builds/builds.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import type { Image } from '../src/builds/image.ts'
import { readConfig } from '../src/config.ts'
import { hasCode, NixeryError } from '../src/errors.ts'
import { digestOf, hexOf, type Digest } from '../src/image/digest.ts'
import { parseImageReference } from '../src/image/name.ts'
import { openLocalWorker, type LocalWorker } from './support/worker.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
let nixLog: NixLog
const path = process.env['PATH']
const open: LocalWorker[] = []
let count = 0

before(async () => {
  workspace = await openWorkspace()
  nixLog = await openNixLog()
  process.env['PATH'] = `${nixLog.folder}:${path}`
})
afterEach(async () => {
  for (const workshop of open.splice(0)) await workshop.close()
})
after(async () => {
  process.env['PATH'] = path
  await nixLog.close()
  await workspace.dispose()
})

/** All that builds images over a package set, in a folder of its own or a given one, and what happens there. */
async function workshopOver(set: string, environment: Readonly<Record<string, string>> = {}) {
  const data = join(workspace.folder, `data ${(count += 1)}`)
  const config = readConfig({
    NIXERY_PKGS_PATH: set,
    NIXERY_DATA: data,
    STORAGE_PATH: join(data, 'store'),
    NIXERY_COMPRESSION: 'gzip',
    NIXERY_STRATEGY: 'nixery',
    ...environment,
  })
  const events: BuildEvent[] = []
  const listener = (_: string, event: BuildEvent) => void events.push(event)
  const workshop = await openLocalWorker(config, { listener, note: () => {}, warn: () => {} })
  open.push(workshop)
  const pull = (name: string, limit?: number): Promise<Image> =>
    buildImage(workshop.builds, parseImageReference(name), { requestId: 'test', limit })
  const blob = async (digest: Digest) => readFile(join(config.STORAGE_PATH, 'layers', hexOf(digest)))
  const packed = () => events.splice(0).filter((event) => event.type === 'packed')
  return { config, workshop, pull, blob, events, packed }
}

const remove = async (storePath: string) => {
  const { stderr, exitCode } = await execa('nix-store', ['--delete', storePath], { reject: false })
  assert.equal(exitCode, 0, stderr)
}

// Text that gzip cannot make small, so that members are of some size.
const packages = `
  base = run "base" "mkdir -p $out/lib; head -c 300000 /dev/urandom > $out/lib/base";
  one = run "one" "mkdir -p $out/bin; echo \${base} > $out/bin/one; head -c 200000 /dev/urandom > $out/more";
  two = run "two" "mkdir -p $out/bin; echo \${base} > $out/bin/two; head -c 200000 /dev/urandom > $out/more";
`

describe('what is known', () => {
  it('is put together anew without a process', async () => {
    const { pull, packed, events } = await workshopOver(await workspace.packageSet(packages), {
      NIXERY_STRATEGY: 'stable',
    })
    await pull('one')
    await pull('two')
    await nixLog.started()
    events.length = 0

    const both = await pull('one/two')
    assert.deepEqual(await nixLog.started(), [])
    assert.equal(packed().length, 1) // the links: every store path has a layer already
    assert.deepEqual(await pull('two/one'), both)
    assert.deepEqual(packed(), [])
    assert.deepEqual(await nixLog.started(), [])
  })

  it('is given at once, and counted as pulled each time', async () => {
    const { pull, workshop, events } = await workshopOver(await workspace.packageSet(packages))
    const { builds, catalog } = workshop
    const request = parseImageReference('one')
    assert.equal(builds.known(request), undefined)
    const image = await pull('one')
    events.length = 0
    assert.deepEqual([builds.known(request), builds.known(request)], [image, image])
    assert.deepEqual(events, [])
    builds.drain()
    assert.equal(builds.known(request), undefined)
    open.length = 0
    let told = 0
    const rememberPulls = catalog.rememberPulls.bind(catalog)
    catalog.rememberPulls = (pulls) => {
      told += pulls.reduce((sum, { count: times }) => sum + times, 0)
      return rememberPulls(pulls)
    }
    await workshop.close()
    assert.ok(told >= 2, 'those that were not told before')
  })

  it('is answered after a restart without a process', async () => {
    const set = await workspace.packageSet(packages)
    const first = await workshopOver(set)
    const image = await first.pull('one')
    await first.workshop.close()
    open.length = 0
    const again = await workshopOver(set, {
      NIXERY_DATA: first.config.NIXERY_DATA,
      STORAGE_PATH: first.config.STORAGE_PATH,
    })
    await nixLog.started()
    assert.deepEqual(await again.pull('one'), image)
    assert.deepEqual(await nixLog.started(), [])
  })

  it('is not compressed again for another grouping, nor needed in the Nix store', async () => {
    const set = await workspace.packageSet(packages)
    const first = await workshopOver(set, { NIXERY_MAX_LAYERS: '94' })
    await first.pull('one/two')
    const root = [...(await storePathsOf(first, 'one/two'))].find((each) => each.endsWith('-one'))
    assert.ok(root)
    await first.workshop.close()
    open.length = 0
    const shared = { NIXERY_DATA: first.config.NIXERY_DATA, STORAGE_PATH: first.config.STORAGE_PATH }

    // Another grouping while the store has the paths: what is in them is copied.
    const grouped = await workshopOver(set, { ...shared, NIXERY_MAX_LAYERS: '1' })
    const image = await grouped.pull('one/two')
    const [layer] = grouped.packed()
    assert.ok(layer && layer.copied === layer.paths && layer.paths > 1, JSON.stringify(layer))
    const fresh = await workshopOver(set, { NIXERY_MAX_LAYERS: '1' })
    assert.deepEqual(await fresh.pull('one/two'), image)
    for (const workshop of open.splice(0)) await workshop.close()

    // A third, when it has them no more: the links were made before, the rest is copied.
    await remove(root)
    const without = await workshopOver(set, { ...shared, NIXERY_MAX_LAYERS: '2' })
    await nixLog.started()
    await without.pull('one/two')
    assert.ok(without.packed().some(({ copied }) => copied > 1))
    assert.deepEqual(await nixLog.started(), [])
  })

  it('is never taken for a path that was built again with other bytes', async () => {
    const set = await workspace.packageSet(
      'other = script "other" "x"; odd = run "odd" "mkdir -p $out; head -c 5000 /dev/urandom > $out/odd";',
    )
    const first = await workshopOver(set)
    await first.pull('odd')
    const odd = [...(await storePathsOf(first, 'odd'))].find((each) => each.endsWith('-odd'))
    assert.ok(odd)
    const former = await readFile(join(odd, 'odd'))
    await first.workshop.close()
    open.length = 0
    await remove(odd)
    const { pull, blob } = await workshopOver(set, {
      NIXERY_DATA: first.config.NIXERY_DATA,
      STORAGE_PATH: first.config.STORAGE_PATH,
    })
    const image = await pull('odd/other')
    const now = await readFile(join(odd, 'odd'))
    assert.notDeepEqual(now, former)
    const layers = await Promise.all(image.layers.map(async ({ digest }) => gunzipSync(await blob(digest))))
    assert.ok(layers.some((layer) => layer.includes(now)))
    assert.ok(!layers.some((layer) => layer.includes(former)))
  })

  it('is made from the store where a member is damaged, and that is not believed again', async () => {
    const set = await workspace.packageSet(packages)
    const first = await workshopOver(set, { NIXERY_MAX_LAYERS: '94' })
    const image = await first.pull('one/two')
    const largest = image.layers.toSorted((a, b) => b.size - a.size)[0]
    assert.ok(largest)
    await first.workshop.close()
    open.length = 0
    const file = join(first.config.STORAGE_PATH, 'layers', hexOf(largest.digest))
    const bytes = await readFile(file)
    await execa('dd', [`of=${file}`, 'conv=notrunc', 'bs=1', `seek=${bytes.length >> 1}`], {
      input: 'damage',
    })

    const second = await workshopOver(set, {
      NIXERY_DATA: first.config.NIXERY_DATA,
      STORAGE_PATH: first.config.STORAGE_PATH,
      NIXERY_MAX_LAYERS: '1',
    })
    const grouped = await second.pull('one/two')
    const fresh = await workshopOver(set, { NIXERY_MAX_LAYERS: '1' })
    assert.deepEqual(grouped, await fresh.pull('one/two'))
    assert.equal(await second.workshop.blobs.find(largest.digest), undefined)
    for (const { digest } of grouped.layers) assert.equal(digestOf(await second.blob(digest)), digest)
  })
})

describe('who waits for a build', () => {
  const slow = `
    slow = run "slow" "sleep 2; mkdir -p $out/bin; echo > $out/bin/slow";
    failing = run "failing" "sleep 2; echo last words; exit 3";
  `
  const isBuilding = (error: unknown): true => {
    assert.ok(error instanceof NixeryError && error.code === 'STILL_BUILDING', String(error))
    assert.match((error.detail as { build: string }).build, /^[0-9a-f-]{36}$/)
    return true
  }

  it('is told to come back past the limit, and finds the same build', async () => {
    const { pull, events } = await workshopOver(await workspace.packageSet(slow))
    await assert.rejects(pull('slow', 1000), isBuilding)
    await assert.rejects(pull('slow', 100), isBuilding)
    assert.equal((await pull('slow', 60_000)).layers.length > 0, true)
    assert.equal(events.filter(({ type }) => type === 'started').length, 1)
  })

  it('hears of its failure when it comes back, and others start anew', async () => {
    const { pull, events } = await workshopOver(await workspace.packageSet(slow))
    await assert.rejects(pull('failing', 1000), isBuilding)
    const failed = (error: unknown) => hasCode(error, 'BUILD_FAILED') && error.message.includes('last words')
    await until(() => events.some(({ type }) => type === 'failed'), 'the build fails')
    await assert.rejects(pull('failing'), failed)
    assert.equal(events.filter(({ type }) => type === 'started').length, 1)
  })

  it('is sent away when the registry stops', async () => {
    const { pull, workshop, events } = await workshopOver(await workspace.packageSet(slow))
    const waiting = assert.rejects(pull('slow'), (error) => hasCode(error, 'CANCELLED'))
    await until(() => events.some(({ type }) => type === 'started'), 'the build has started')
    workshop.builds.drain()
    await waiting
    await assert.rejects(pull('slow'), (error) => hasCode(error, 'CANCELLED'))
  })
})

/** The store paths of an image, as its config's history names them. */
async function storePathsOf(
  { pull, blob }: Awaited<ReturnType<typeof workshopOver>>,
  name: string,
): Promise<Set<string>> {
  const image = await pull(name)
  const found = new Set<string>()
  for (const { digest } of image.layers) {
    const text = gunzipSync(await blob(digest)).toString('latin1')
    for (const [each] of text.matchAll(/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+/g)) found.add(`/${each}`)
  }
  return found
}
