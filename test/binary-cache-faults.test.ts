import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../src/errors.ts'
import { parseImageReference } from '../src/image/name.ts'
import type { Reply } from '../src/popcount/testing.ts'
import { makeCache } from './support/binary-cache.ts'
import {
  buildPackages,
  caches,
  digestOf,
  openCacheImages,
  type CacheImages,
  type Fault,
} from './support/cache-images.ts'
import { until } from './support/until.ts'

let images: CacheImages
/** The digest of `apart`, built from the store. */
let ofApart: string
before(async () => {
  images = await openCacheImages()
  const paths = await buildPackages(images.set, ['odd', 'apart'])
  for (const compression of ['zstd', 'none'] as const) {
    const secret = images.key.secret
    await makeCache(join(images.root, compression), paths, { compression, secret })
  }
  const { digests } = await images.build(['apart'], {})
  ofApart = digests[0] ?? assert.fail()
})
afterEach(() => images.closeFaultyCaches())
after(() => images.dispose())

describe('images from binary caches that fail', () => {
  const flipBit = (original: Buffer): Reply => {
    const bytes = Buffer.from(original)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    return { body: bytes }
  }
  const replaceText =
    (from: RegExp, to: string) =>
    (original: Buffer): Reply => ({ body: original.toString().replace(from, to) })
  const narinfo = /narinfo$/
  const faults: [what: string, pattern: RegExp, fault: Fault, message: RegExp][] = [
    ['changes a byte of a NAR', /nar\//, flipBit, /did not deliver \/nix\/store\//],
    [
      'truncates NARs',
      /nar\//,
      (original) => ({ body: original.subarray(0, original.length / 2) }),
      /smaller than its narinfo/,
    ],
    [
      'repeatedly disconnects midway',
      /nar\//,
      (original) => ({ body: original, cut: true }),
      /did not deliver/,
    ],
    ['sends an HTML page for NARs', /nar\//, () => ({ body: '<html>Sign in</html>' }), /did not deliver/],
    [
      'signs with another key',
      narinfo,
      replaceText(/^Sig: test-1/m, 'Sig: other-1'),
      /other-1, which is not a trusted key/,
    ],
    [
      'sends an HTML page for narinfos',
      narinfo,
      () => ({ body: '<html>Sign in</html>' }),
      /it returned an invalid narinfo/,
    ],
    [
      'has another store folder',
      /nix-cache-info/,
      replaceText(/^StoreDir: .*$/m, 'StoreDir: /x'),
      /its store is not \/nix\/store/,
    ],
    [
      'has a signature of other contents',
      narinfo,
      replaceText(/^NarSize: /m, 'NarSize: 9'),
      /not a trusted key, or the signature is wrong/,
    ],
    ['hangs', narinfo, () => new Promise(() => {}), /no data for/],
  ]
  it('come from another cache if one sends wrong data or fails', async () => {
    for (const [what, pattern, fault, message] of faults) {
      const url = await images.faultyCache(pattern, fault)
      const { events, digests } = await images.build(['apart'], {
        ...caches(`${url}?priority=1 ${images.url}/zstd`),
        ...(what === 'hangs' && { NIXERY_CACHE_TIMEOUT: '1' }),
      })
      assert.deepEqual(digests, [ofApart], what)
      const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
      // An ignored narinfo is reported only if no other cache has one.
      if (!/Sig|sign|key/.test(message.source)) assert.match(warnings.join('\n'), message, what)
    }
  })

  for (const [what, pattern, fault, message] of faults.slice(0, 2)) {
    it(`are refused when the only cache ${what}, and nothing invalid is stored`, async () => {
      const { worker, data } = await images.open(caches(await images.faultyCache(pattern, fault)))
      try {
        await assert.rejects(digestOf(worker, 'apart'), (error) => {
          assert.ok(hasCode(error, 'BUILD_FAILED'))
          assert.match(error.message, message)
          assert.match(error.message, /\/nix\/store\/\w{32}-(apart|lib|other)/)
          return true
        })
      } finally {
        await worker.close()
      }
      const later = await images.build(['apart'], caches(`${images.url}/zstd`), data)
      assert.deepEqual(later.digests, [ofApart])
    })
  }

  it('report a failure once, even if a request is repeated because its cached response has expired', async () => {
    const folder = join(images.workspace.folder, 'reported-once')
    const url = await images.faultyCache(/nar\//, flipBit)
    await assert.rejects(images.build(['apart'], caches(url), folder), /did not deliver/)
    const settings = caches(`${url}?priority=1 ${images.url}/zstd`)
    const { events, digests } = await images.build(['apart'], settings, folder)
    assert.deepEqual(digests, [ofApart])
    const failures = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    assert.ok(failures.length > 0)
    assert.deepEqual([...new Set(failures)], failures)
  })

  it('arrive although every response is late and every connection breaks', async () => {
    const url = await images.faultyCache(/./, async (original, nth, range) => {
      await sleep(20)
      const isNar = original.subarray(0, 5).toString() !== 'Store'
      const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
      const rest = original.subarray(start)
      const headers = {
        'Accept-Ranges': 'bytes',
        'Content-Range': `bytes ${start}-${original.length - 1}/${original.length}`,
      }
      return {
        status: start > 0 ? 206 : 200,
        headers,
        body: rest,
        cut: isNar && rest.length > 100 && nth < 20,
      }
    })
    const { digests } = await images.build(['apart'], caches(url))
    assert.deepEqual(digests, [ofApart])
  })

  it(
    'report a full disk, and leave no temporary files on it',
    { skip: process.getuid?.() !== 0 && 'mounting needs root' },
    async () => {
      const data = await images.workspace.mountSmallDisk(3)
      const { worker } = await images.open(caches(`${images.url}/none`), data)
      try {
        await assert.rejects(digestOf(worker, 'odd'), (error) => hasCode(error, 'STORE_FULL'))
        await until(async () => (await readdir(worker.store.spoolDirectory)).length === 0, 'no file is left')
      } finally {
        await worker.close()
      }
    },
  )

  it('are aborted after the build timeout, and when no client waits', async () => {
    let reached = Promise.withResolvers<void>()
    const url = await images.faultyCache(/nar\//, () => {
      reached.resolve()
      return new Promise(() => {})
    })
    const slow = caches(url)
    await assert.rejects(images.build(['apart'], { ...slow, NIXERY_BUILD_TIMEOUT: '1' }), (error) => {
      assert.ok(hasCode(error, 'BUILD_TIMEOUT'))
      assert.match(error.message, /took more than 1 s to come from binary caches/)
      return true
    })
    reached = Promise.withResolvers<void>()
    const { worker } = await images.open(slow)
    try {
      const { id } = await worker.builds.submit(parseImageReference('apart'), { requestId: 'test' })
      const result = assert.rejects(worker.builds.result(id), (error) => hasCode(error, 'CANCELLED'))
      await reached.promise
      await worker.builds.cancel(id)
      await result
      // A cancelled build cleans up asynchronously.
      await until(async () => (await readdir(worker.store.spoolDirectory)).length === 0, 'no file is left')
    } finally {
      await worker.close()
    }
  })

  it('arrive after a server was killed during the download', async () => {
    let hold = true
    const reached = Promise.withResolvers<void>()
    const url = await images.faultyCache(/nar\//, async (bytes) => {
      if (hold) {
        reached.resolve()
        await new Promise(() => {})
      }
      return { body: bytes }
    })
    const data = join(images.workspace.folder, 'killed')
    const environment = {
      NIXERY_PKGS_PATH: images.set,
      NIXERY_TRUSTED_KEYS: images.key.text,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      ...caches(url),
    }
    const server = await images.workspace.serve(environment)
    const pull = fetch(`http://${server.address}/v2/apart/manifests/latest`).catch(() => undefined)
    await reached.promise
    await server.stop('SIGKILL')
    await pull
    hold = false
    const { worker } = await images.open(caches(url), data)
    try {
      assert.equal(await digestOf(worker, 'apart'), ofApart)
    } finally {
      await worker.close()
    }
  })
})
