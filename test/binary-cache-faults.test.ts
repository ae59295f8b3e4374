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
  built,
  caches,
  digestOf,
  openCacheImages,
  type CacheImages,
  type Fault,
} from './support/cache-images.ts'

let images: CacheImages
/** The digest of `apart`, as the store gives it. */
let ofApart: string
before(async () => {
  images = await openCacheImages()
  const paths = await built(images.set, ['odd', 'apart'])
  for (const compression of ['zstd', 'none'] as const) {
    const secret = images.key.secret
    await makeCache(join(images.root, compression), paths, { compression, secret })
  }
  const { digests } = await images.made(['apart'], {})
  ofApart = digests[0] ?? assert.fail()
})
afterEach(() => images.closeFaultyCaches())
after(() => images.dispose())

describe('images from binary caches that fail', () => {
  const flipped = (honest: Buffer): Reply => {
    const bytes = Buffer.from(honest)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    return { body: bytes }
  }
  const changed =
    (from: RegExp, to: string) =>
    (honest: Buffer): Reply => ({ body: honest.toString().replace(from, to) })
  const narinfo = /narinfo$/
  const lies: [what: string, pattern: RegExp, lie: Fault, told: RegExp][] = [
    ['changes a byte of a NAR', /nar\//, flipped, /did not deliver \/nix\/store\//],
    [
      'cuts NARs',
      /nar\//,
      (honest) => ({ body: honest.subarray(0, honest.length / 2) }),
      /smaller than its narinfo/,
    ],
    [
      'goes away half-way, again and again',
      /nar\//,
      (honest) => ({ body: honest, cut: true }),
      /did not deliver/,
    ],
    ['answers with a page', /nar\//, () => ({ body: '<html>Sign in</html>' }), /did not deliver/],
    [
      'has another key',
      narinfo,
      changed(/^Sig: test-1/m, 'Sig: other-1'),
      /other-1, which is not a trusted key/,
    ],
    [
      'answers narinfos with a page',
      narinfo,
      () => ({ body: '<html>Sign in</html>' }),
      /it returned an invalid narinfo/,
    ],
    [
      'is of another store',
      /nix-cache-info/,
      changed(/^StoreDir: .*$/m, 'StoreDir: /x'),
      /its store is not \/nix\/store/,
    ],
    [
      'signs something else',
      narinfo,
      changed(/^NarSize: /m, 'NarSize: 9'),
      /not a trusted key, or the signature is wrong/,
    ],
    ['hangs', narinfo, () => new Promise(() => {}), /no data for/],
  ]
  it('come from another cache if one lies or fails', async () => {
    for (const [what, pattern, lie, told] of lies) {
      const url = await images.faultyCache(pattern, lie)
      const { events, digests } = await images.made(['apart'], caches(`${url}?priority=1 ${images.url}/zstd`))
      assert.deepEqual(digests, [ofApart], what)
      const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
      // That a narinfo counts for nothing is ordinary; it is told where no cache has another.
      if (!/Sig|sign|key/.test(told.source)) assert.match(warnings.join('\n'), told, what)
    }
  })

  for (const [what, pattern, lie, told] of lies.slice(0, 2)) {
    it(`are refused when the only cache ${what}, and nothing invalid is stored`, async () => {
      const { worker, data } = await images.open(caches(await images.faultyCache(pattern, lie)))
      try {
        await assert.rejects(digestOf(worker, 'apart'), (error) => {
          assert.ok(hasCode(error, 'BUILD_FAILED'))
          assert.match(error.message, told)
          assert.match(error.message, /\/nix\/store\/\w{32}-(apart|lib|other)/)
          return true
        })
      } finally {
        await worker.close()
      }
      const later = await images.made(['apart'], caches(`${images.url}/zstd`), data)
      assert.deepEqual(later.digests, [ofApart])
    })
  }

  it('report a failure once, also for a repeated request of an expired response', async () => {
    const folder = join(images.workspace.folder, 'told-once')
    const url = await images.faultyCache(/nar\//, flipped)
    await assert.rejects(images.made(['apart'], caches(url), folder), /did not deliver/)
    const settings = caches(`${url}?priority=1 ${images.url}/zstd`)
    const { events, digests } = await images.made(['apart'], settings, folder)
    assert.deepEqual(digests, [ofApart])
    const failures = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    assert.ok(failures.length > 0)
    assert.deepEqual([...new Set(failures)], failures)
  })

  it('arrive although every response is late and every connection breaks', async () => {
    const url = await images.faultyCache(/./, async (honest, nth, range) => {
      await sleep(20)
      const isNar = honest.subarray(0, 5).toString() !== 'Store'
      const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
      const rest = honest.subarray(start)
      const headers = {
        'Accept-Ranges': 'bytes',
        'Content-Range': `bytes ${start}-${honest.length - 1}/${honest.length}`,
      }
      return {
        status: start > 0 ? 206 : 200,
        headers,
        body: rest,
        cut: isNar && rest.length > 100 && nth < 20,
      }
    })
    const { digests } = await images.made(['apart'], caches(url))
    assert.deepEqual(digests, [ofApart])
  })

  it(
    'say that the disk is full when it is, and leave nothing on it',
    { skip: process.getuid?.() !== 0 && 'mounting needs root' },
    async () => {
      const data = await images.workspace.mountSmallDisk(3)
      const { worker } = await images.open(caches(`${images.url}/none`), data)
      try {
        await assert.rejects(digestOf(worker, 'odd'), (error) => hasCode(error, 'STORE_FULL'))
        assert.deepEqual(await readdir(worker.store.spoolDirectory), [])
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
    const slow = { ...caches(url), NIXERY_CACHE_TIMEOUT: '60' }
    await assert.rejects(images.made(['apart'], { ...slow, NIXERY_BUILD_TIMEOUT: '1' }), (error) => {
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
      // The build ends a moment after the one who asked for it has left.
      while ((await readdir(worker.store.spoolDirectory)).length > 0) await sleep(10)
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
