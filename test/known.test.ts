import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { execa } from 'execa'
import { NixeryError } from '../src/errors.ts'
import { digestOf, hexOf } from '../src/image/digest.ts'
import { parseImageReference } from '../src/image/name.ts'
import { nixStarted, openWorker, packageSet } from './worker-testing.ts'

const remove = async (storePath: string) => {
  const { stderr, exitCode } = await execa('nix-store', ['--delete', storePath], { reject: false })
  assert.equal(exitCode, 0, stderr)
}

// Incompressible contents, so that members are large.
const packages = `
  base = run "base" "mkdir -p $out/lib; head -c 300000 /dev/urandom > $out/lib/base";
  one = run "one" "mkdir -p $out/bin; echo \${base} > $out/bin/one; head -c 200000 /dev/urandom > $out/more";
  two = run "two" "mkdir -p $out/bin; echo \${base} > $out/bin/two; head -c 200000 /dev/urandom > $out/more";
`

describe('known images and layers', () => {
  it('are combined into a new image without starting a process', async () => {
    const { pull, packed, events } = await openWorker(await packageSet(packages), {
      NIXERY_STRATEGY: 'stable',
    })
    await pull('one')
    await pull('two')
    await nixStarted()
    events.length = 0

    const both = await pull('one/two')
    assert.deepEqual(await nixStarted(), [])
    assert.equal(packed().length, 1) // only the links, because all store paths have layers
    assert.deepEqual(await pull('two/one'), both)
    assert.deepEqual(packed(), [])
    assert.deepEqual(await nixStarted(), [])
  })

  it('are served from memory, and each pull is counted', async () => {
    const { pull, worker, events, close } = await openWorker(await packageSet(packages))
    const { builds, catalog } = worker
    const request = parseImageReference('one')
    assert.equal(builds.known(request), undefined)
    const image = await pull('one')
    events.length = 0
    assert.deepEqual([builds.known(request), builds.known(request)], [image, image])
    assert.deepEqual(events, [])
    builds.drain()
    assert.equal(builds.known(request), undefined)
    let written = 0
    const rememberPulls = catalog.rememberPulls.bind(catalog)
    catalog.rememberPulls = (pulls) => {
      written += pulls.reduce((sum, { count: times }) => sum + times, 0)
      return rememberPulls(pulls)
    }
    await close()
    assert.ok(written >= 2, 'pulls are written at the latest on close')
  })

  it('are served after a restart without starting a process', async () => {
    const set = await packageSet(packages)
    const first = await openWorker(set)
    const image = await first.pull('one')
    await first.close()
    const restarted = await openWorker(set, {
      NIXERY_DATA: first.config.NIXERY_DATA,
      STORAGE_PATH: first.config.STORAGE_PATH,
    })
    await nixStarted()
    assert.deepEqual(await restarted.pull('one'), image)
    assert.deepEqual(await nixStarted(), [])
  })

  it('are copied for a different grouping, even without the store paths', async () => {
    const set = await packageSet(packages)
    const first = await openWorker(set, { NIXERY_MAX_LAYERS: '94' })
    await first.pull('one/two')
    const root = [...(await storePathsOf(first, 'one/two'))].find((each) => each.endsWith('-one'))
    assert.ok(root)
    await first.close()
    const shared = { NIXERY_DATA: first.config.NIXERY_DATA, STORAGE_PATH: first.config.STORAGE_PATH }

    // With a different grouping, members are copied although the store has the paths.
    const grouped = await openWorker(set, { ...shared, NIXERY_MAX_LAYERS: '1' })
    const image = await grouped.pull('one/two')
    const [layer] = grouped.packed()
    assert.ok(layer && layer.copied === layer.paths && layer.paths > 1, JSON.stringify(layer))
    const fresh = await openWorker(set, { NIXERY_MAX_LAYERS: '1' })
    assert.deepEqual(await fresh.pull('one/two'), image)
    await grouped.close()
    await fresh.close()

    // With a third grouping and without the paths, the links exist, and the other members are copied.
    await remove(root)
    const without = await openWorker(set, { ...shared, NIXERY_MAX_LAYERS: '2' })
    await nixStarted()
    await without.pull('one/two')
    assert.ok(without.packed().some(({ copied }) => copied > 1))
    assert.deepEqual(await nixStarted(), [])
  })

  it('are not used for a path that was rebuilt with different bytes', async () => {
    const set = await packageSet(
      'other = script "other" "x"; odd = run "odd" "mkdir -p $out; head -c 5000 /dev/urandom > $out/odd";',
    )
    const first = await openWorker(set)
    await first.pull('odd')
    const odd = [...(await storePathsOf(first, 'odd'))].find((each) => each.endsWith('-odd'))
    assert.ok(odd)
    const previous = await readFile(join(odd, 'odd'))
    await first.close()
    await remove(odd)
    const { pull, blob } = await openWorker(set, {
      NIXERY_DATA: first.config.NIXERY_DATA,
      STORAGE_PATH: first.config.STORAGE_PATH,
    })
    const image = await pull('odd/other')
    const current = await readFile(join(odd, 'odd'))
    assert.notDeepEqual(current, previous)
    const layers = await Promise.all(image.layers.map(async ({ digest }) => gunzipSync(await blob(digest))))
    assert.ok(layers.some((layer) => layer.includes(current)))
    assert.ok(!layers.some((layer) => layer.includes(previous)))
  })

  it('are packed from the store if a member is damaged, and the damaged blob is removed', async () => {
    const set = await packageSet(packages)
    const first = await openWorker(set, { NIXERY_MAX_LAYERS: '94' })
    const image = await first.pull('one/two')
    const largest = image.layers.toSorted((a, b) => b.size - a.size)[0]
    assert.ok(largest)
    await first.close()
    const file = join(first.config.STORAGE_PATH, 'layers', hexOf(largest.digest))
    const bytes = await readFile(file)
    await execa('dd', [`of=${file}`, 'conv=notrunc', 'bs=1', `seek=${bytes.length >> 1}`], {
      input: 'damage',
    })

    const second = await openWorker(set, {
      NIXERY_DATA: first.config.NIXERY_DATA,
      STORAGE_PATH: first.config.STORAGE_PATH,
      NIXERY_MAX_LAYERS: '1',
    })
    const grouped = await second.pull('one/two')
    const fresh = await openWorker(set, { NIXERY_MAX_LAYERS: '1' })
    assert.deepEqual(grouped, await fresh.pull('one/two'))
    assert.equal(await second.worker.blobs.find(largest.digest), undefined)
    for (const { digest } of grouped.layers) assert.equal(digestOf(await second.blob(digest)), digest)
  })
})

/** The store paths in the layers of an image. */
async function storePathsOf(
  { pull, blob }: Awaited<ReturnType<typeof openWorker>>,
  name: string,
): Promise<Set<string>> {
  const image = await pull(name)
  const paths = new Set<string>()
  for (const { digest } of image.layers) {
    const text = gunzipSync(await blob(digest)).toString('latin1')
    for (const [each] of text.matchAll(/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+/g)) paths.add(`/${each}`)
  }
  return paths
}

describe('a build that another worker has taken over', () => {
  it('records no image, and its packed layers are reused by the next one', async () => {
    let isTaken = true
    const fence = async () => {
      await Promise.resolve()
      if (isTaken) throw new NixeryError('CANCELLED', 'taken over')
    }
    const set = await packageSet('fenced = script "fenced" "echo hi";')
    const { pull, worker, packed } = await openWorker(set, {}, { forOthers: { fence } })
    const recorded = () => worker.catalog.upkeep.images({ limit: 10 }, (text) => text)
    await assert.rejects(pull('fenced'), { code: 'CANCELLED' })
    assert.deepEqual(await recorded(), [])
    assert.ok(packed().length > 0)
    isTaken = false
    await pull('fenced')
    assert.equal((await recorded()).length, 1)
    assert.deepEqual(packed(), [])
  })
})
