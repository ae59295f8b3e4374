import assert from 'node:assert/strict'
import { after, afterEach, describe, it } from 'node:test'
import type { StorePath } from '../../image/store-path.ts'
import { dir, file } from '../../layers/testing.ts'
import { createHttpClient } from '../../net/http-client.ts'
import { openServer, type Reply, type TestServer } from '../../popcount/testing.ts'
import { parseCacheAddress } from './address.ts'
import { openCache } from './cache.ts'
import { avoided, createCaches, type CachesOptions, type InCache } from './caches.ts'
import { parseNarinfo } from './narinfo.ts'
import { createSigner, narOf, pathOf } from './testing.ts'
import { walkCaches } from './walk.ts'

const signer = createSigner('good-1')
const nar = narOf(dir({ x: file('text') }))
const [a, b, c] = [pathOf('a'), pathOf('b'), pathOf('c')]
const fileOf = (path: StorePath) => `/${path.slice(11, 43)}.narinfo`
const info = { '/nix-cache-info': { body: 'StoreDir: /nix/store\nPriority: 30\n' } }

const client = createHttpClient()
after(() => client.close())
const servers: TestServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

const lifetimes = { found: 60_000, missing: 60_000 }

/** Caches over HTTP that respond from tables, and the reported problems. */
async function open(
  tables: readonly Readonly<Record<string, Reply>>[],
  { query = [], ...options }: Partial<CachesOptions> & { query?: readonly string[] } = {},
) {
  const troubles: string[] = []
  const opened = await Promise.all(
    tables.map(async (table, index) => {
      const server = await openServer((path) => table[path] ?? { status: 404 })
      servers.push(server)
      const address = parseCacheAddress(`${server.url}${query[index] ?? ''}`) ?? assert.fail()
      const given = {
        client,
        lifetimes,
        connections: 3,
        stall: 5000,
        login: () => undefined,
        firstDelay: 1,
      }
      return { server, cache: openCache(address, given) }
    }),
  )
  const caches = createCaches(
    opened.map(({ cache }) => cache),
    { keys: signer.keys, requireSignatures: true, lifetimes, ...options },
  )
  const avoid = new Set<string>()
  const given = { avoid, onTrouble: (_cache: string, reason: string) => troubles.push(reason) }
  return {
    caches,
    avoid,
    troubles,
    requests: (index: number) => opened[index]?.server.requests ?? assert.fail(),
    nameOf: (index: number) => opened[index]?.cache.name ?? assert.fail(),
    lookUp: (path: StorePath) => caches.lookUp(path, given),
    walk: (roots: readonly StorePath[]) => walkCaches(caches, roots, given),
  }
}
const whose = (answer: object): string =>
  'cache' in answer ? (answer as InCache).cache.name : JSON.stringify(answer)
const reasonsOf = (answer: object): string => ('reasons' in answer ? String(answer.reasons) : 'was found')

describe('binary caches', () => {
  const good = { body: signer.narinfo(a, nar) }

  it('are tried in the order of their priorities', async () => {
    const late = { '/nix-cache-info': { body: 'StoreDir: /nix/store\nPriority: 40\n' }, [fileOf(a)]: good }
    const early = { ...info, [fileOf(a)]: good }
    const first = await open([late, early])
    assert.equal(whose(await first.lookUp(a)), first.nameOf(1))
    const second = await open([late, early], { query: ['?priority=1'] })
    assert.equal(whose(await second.lookUp(a)), second.nameOf(0))
  })

  it('are used only if a trusted key has signed the narinfo', async () => {
    const forged = createSigner('good-1').narinfo(a, nar)
    const bad: [what: RegExp, body: string][] = [
      [/without a signature/, signer.narinfo(a, nar, { signed: false })],
      [/not a trusted key/, createSigner('evil-1').narinfo(a, nar)],
      [/the signature is wrong/, forged],
      [/content-addressed/, `${signer.narinfo(a, nar, { signed: false })}CA: fixed:r:sha256:x\n`],
      [/compressed by bzip2/, signer.narinfo(a, nar, { compression: 'bzip2' })],
      [/another path/, signer.narinfo(b, nar)],
      [/invalid narinfo/, '<html>welcome to our network</html>\n'],
    ]
    for (const [reason, body] of bad) {
      const alone = await open([{ ...info, [fileOf(a)]: { body } }])
      assert.match(reasonsOf(await alone.lookUp(a)), reason)
      const two = await open([
        { ...info, [fileOf(a)]: { body } },
        { ...info, [fileOf(a)]: good },
      ])
      assert.equal(whose(await two.lookUp(a)), two.nameOf(1))
    }
    const unsigned = { ...info, [fileOf(a)]: { body: signer.narinfo(a, nar, { signed: false }) } }
    const trusted = await open([unsigned], { query: ['?trusted=1'] })
    assert.equal(whose(await trusted.lookUp(a)), trusted.nameOf(0))
    const lax = await open([unsigned], { requireSignatures: false })
    assert.equal(whose(await lax.lookUp(a)), lax.nameOf(0))
  })

  it('of another store, or that are not caches, are skipped and reported', async () => {
    const other = { '/nix-cache-info': { body: 'StoreDir: /gnu/store\n' }, [fileOf(a)]: good }
    const page = { '/nix-cache-info': { body: '<html>Sign in to our network</html>' }, [fileOf(a)]: good }
    const all = await open([other, {}, page, { ...info, [fileOf(a)]: good }])
    assert.equal(whose(await all.lookUp(a)), all.nameOf(3))
    assert.equal(whose(await all.lookUp(a)), all.nameOf(3))
    assert.deepEqual([all.requests(0), all.requests(1)], [['/nix-cache-info'], ['/nix-cache-info']])
    assert.deepEqual(all.troubles.toSorted(), [
      'it has no nix-cache-info, or does not show it without credentials',
      'its nix-cache-info has no StoreDir',
      'its store is not /nix/store',
    ])
  })

  it('that fail are skipped for a while, and the next one is used', async () => {
    const failing = { ...info, [fileOf(a)]: { status: 502 }, [fileOf(b)]: { body: signer.narinfo(b, nar) } }
    const both = await open([failing, { ...info, [fileOf(a)]: good }])
    assert.equal(whose(await both.lookUp(a)), both.nameOf(1))
    assert.match(reasonsOf(await both.lookUp(b)), /cannot be queried: it responded with 502/)
    assert.equal(both.requests(0).filter((path) => path === fileOf(b)).length, 0)
    assert.deepEqual(both.troubles, ['it responded with 502'])
    const soon = await open([failing], { pause: 0 })
    assert.match(reasonsOf(await soon.lookUp(a)), /502/)
    assert.equal(whose(await soon.lookUp(b)), soon.nameOf(0))
  })

  it('get no request a second time', async () => {
    const all = await open([{ ...info, [fileOf(a)]: good }])
    for (const path of [a, b, a, b]) await all.lookUp(path)
    assert.deepEqual(all.requests(0), ['/nix-cache-info', fileOf(a), fileOf(b)])
    all.caches.forget(all.nameOf(0), a)
    await all.lookUp(a)
    assert.equal(all.requests(0).length, 4)
    all.avoid.add(avoided(all.nameOf(0), a))
    assert.match(reasonsOf(await all.lookUp(a)), /returned invalid data/)
  })

  it('get no more concurrent requests than the limit of connections, for narinfos and NARs', async () => {
    let [now, most] = [0, 0]
    const { promise, resolve } = Promise.withResolvers<unknown>()
    // This request is sent after all that are sent at once, and arrives after them.
    const askLast = async () => resolve((await fetch(`${server.url}/nix-cache-info`)).text())
    let last: Promise<void> | undefined
    const server = await openServer(async (path) => {
      if (path === '/nix-cache-info') return info[path]
      now += 1
      most = Math.max(most, now)
      if (now === 3) last ??= askLast()
      await promise
      now -= 1
      return { status: 404 }
    })
    servers.push(server)
    const address = parseCacheAddress(server.url) ?? assert.fail()
    const options = { client, lifetimes, connections: 3, stall: 5000, login: () => undefined }
    const cache = openCache(address, options)
    const caches = createCaches([cache], { keys: signer.keys, requireSignatures: true, lifetimes })
    const given = { avoid: new Set<string>(), onTrouble: () => assert.fail() }
    const paths = Array.from({ length: 12 }, (_, index) => pathOf(`path-${index}`))
    const narinfo = parseNarinfo(signer.narinfo(a, nar))
    assert.ok('url' in narinfo)
    const reading = () => cache.reading(narinfo, {}, (bytes) => Array.fromAsync(bytes))
    await Promise.all(
      paths.flatMap((path) => [caches.lookUp(path, given), assert.rejects(reading(), /does not exist/)]),
    )
    assert.equal(most, 3)
  })

  it('are walked along references: to themselves, in cycles, over several caches', async () => {
    const narinfoOf = (path: StorePath, references: StorePath[]) => ({
      body: signer.narinfo(path, nar, { references }),
    })
    const one = { ...info, [fileOf(a)]: narinfoOf(a, [a, b]), [fileOf(c)]: narinfoOf(c, [a]) }
    const all = await open([one, { ...info, [fileOf(b)]: narinfoOf(b, [c]) }])
    const walked = await all.walk([a])
    assert.ok(walked instanceof Map)
    assert.deepEqual(new Set(walked.keys()), new Set([a, b, c]))
    const part = await open([one])
    const incomplete = await part.walk([a])
    assert.ok('reasons' in incomplete)
    assert.equal(incomplete.storePath, b)
  })
})
