import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { NixeryError } from '../errors.ts'
import { byText } from '../image/store-path.ts'
import { pageOf, parsePage } from './paging.ts'
import type { Referrer } from './referrers.ts'
import { openTestRegistry, type TestRegistry } from './testing.ts'
import { digestOf } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'

/** Pulled names as listed by the catalog: sorted, after `after`, at most `limit`. */
const listed =
  (all: readonly string[]) =>
  ({ after: last = '', limit }: { after?: string; limit: number }) =>
    Promise.resolve(
      all
        .filter((one) => one > last)
        .toSorted(byText)
        .slice(0, limit),
    )

const subject = digestOf('a manifest')
const referrers: Referrer[] = [
  'application/spdx+json',
  'application/vnd.dev.cosign',
  'application/spdx+json',
].map((artifactType, index) => ({
  mediaType: mediaTypes.oci.manifest,
  digest: digestOf(String(index)),
  size: index,
  artifactType,
  annotations: { index: String(index) },
}))

let registry: TestRegistry
before(async () => {
  const pulled = ['v2', 'a', 'latest', 'Zed']
  registry = await openTestRegistry({
    source: { tags: () => Promise.resolve(['main', 'latest', 'v10', 'v2', 'feature/x', '-no']) },
    pulled: {
      tags: (repository, page) => listed(repository === 'shell/git' ? pulled : [])(page),
      repositories: listed(['shell/git', 'hello', 'python3Packages.requests']),
    },
    listNames: true,
    referrers: (digest) => Promise.resolve(digest === subject ? referrers : []),
  })
})
after(() => registry.dispose())

const all = ['Zed', 'a', 'latest', 'main', 'v10', 'v2']
const rows: [address: string, items: string[], link: string | undefined][] = [
  ['git/shell/tags/list', ['latest', 'main', 'v10', 'v2'], undefined],
  ['shell/git/tags/list', all, undefined],
  ['shell/git/tags/list?n=6', all, undefined],
  ['shell/git/tags/list?n=1000000', all, undefined],
  ['shell/git/tags/list?n=0', [], undefined],
  ['shell/git/tags/list?n=2', ['Zed', 'a'], '</v2/shell/git/tags/list?n=2&last=a>; rel="next"'],
  [
    'shell/git/tags/list?n=2&last=a',
    ['latest', 'main'],
    '</v2/shell/git/tags/list?n=2&last=main>; rel="next"',
  ],
  ['shell/git/tags/list?last=main&n=2', ['v10', 'v2'], undefined],
  ['shell/git/tags/list?last=latest', ['main', 'v10', 'v2'], undefined],
  ['shell/git/tags/list?last=not-there', ['v10', 'v2'], undefined],
  ['shell/git/tags/list?last=zzz', [], undefined],
  ['shell/git/tags/list?n=0&last=a', [], undefined],
  ['shell/git/tags/list?ns=x&what=%ff', all, undefined],
  ['_catalog', ['hello', 'python3Packages.requests', 'shell/git'], undefined],
  ['_catalog?n=1', ['hello'], '</v2/_catalog?n=1&last=hello>; rel="next"'],
  [
    '_catalog?n=1&last=hello',
    ['python3Packages.requests'],
    '</v2/_catalog?n=1&last=python3Packages.requests>; rel="next"',
  ],
  ['_catalog?n=1&last=python3Packages.requests', ['shell/git'], undefined],
  ['_catalog?n=0', [], undefined],
]

describe('lists', () => {
  for (const [address, items, link] of rows) {
    it(`answers ${address}`, async () => {
      for (const client of registry.clients) {
        const { status, headers, body } = await client.fetch(`/v2/${address}`)
        assert.equal(status, 200)
        assert.equal(headers['content-type'], 'application/json')
        assert.equal(headers['link'], link)
        const name = address.split('/tags/')[0]
        assert.deepEqual(
          JSON.parse(body.toString()),
          address.startsWith('_catalog') ? { repositories: items } : { name, tags: items },
        )
      }
    })
  }

  it('have the tags that were pulled while the package set cannot be reached', async () => {
    for (const code of ['NIX_UNAVAILABLE', 'SOURCE_UNREACHABLE'] as const) {
      const tags = () => Promise.reject(new NixeryError(code, 'there is no worker'))
      const without = await registry.with({ source: { tags } })
      const list = async (path: string) => {
        const { status, body } = await without.clients[0].fetch(`/v2/${path}`)
        return status === 200 ? (JSON.parse(body.toString()) as { tags: string[] }).tags : status
      }
      assert.deepEqual(await list('shell/git/tags/list'), ['Zed', 'a', 'latest', 'v2'])
      assert.deepEqual(await list('shell/git/tags/list?last=v2'), [])
      assert.equal(await list('hello/tags/list'), 503)
      await without.dispose()
    }
  })

  it('are complete when following links, for any page size', async () => {
    for (const size of [1, 2, 3, 5, 6, 7]) {
      const found: string[] = []
      let next: string | undefined = `/v2/shell/git/tags/list?n=${size}`
      while (next !== undefined) {
        const { headers, body } = await registry.clients[0].fetch(next)
        found.push(...(JSON.parse(body.toString()) as { tags: string[] }).tags)
        next = /^<([^>]+)>; rel="next"$/.exec(headers['link'] ?? '')?.[1]
      }
      assert.deepEqual(found, all)
    }
  })

  it('have each item once, in order, and report correctly whether there are more', () => {
    const items = fc.array(fc.stringMatching(/^[a-c]{1,2}$/))
    fc.assert(
      fc.property(
        items,
        items,
        fc.nat(12),
        fc.option(fc.constantFrom('a', 'b', 'bb')),
        (one, two, limit, last) => {
          const page = parsePage(`n=${limit}${last === null ? '' : `&last=${last}`}`)
          const { items: given, more } = pageOf([one, two], page)
          const whole = [...new Set([...one, ...two])]
            .filter((item) => last === null || item > last)
            .toSorted(byText)
          assert.deepEqual(given, whole.slice(0, limit))
          assert.equal(more, limit > 0 && whole.length > limit)
        },
      ),
    )
  })
})

describe('referrers', () => {
  const tag = subject.replace(':', '-')

  it('are listed, all or those of a type', async () => {
    const of = async (query: string) => {
      const { body } = await registry.clients[1].fetch(`/v2/hello/referrers/${subject}${query}`)
      return (JSON.parse(body.toString()) as { manifests: Referrer[] }).manifests
    }
    assert.deepEqual(await of(''), referrers)
    assert.deepEqual(await of('?artifactType=application/spdx%2Bjson'), [referrers[0], referrers[2]])
    assert.deepEqual(await of('?artifactType=none'), [])
  })

  it('are also under the tag for old clients', async () => {
    for (const client of registry.clients) {
      const listedThere = await client.fetch(`/v2/hello/referrers/${subject}`)
      const tagged = await client.fetch(`/v2/hello/manifests/${tag}`)
      assert.equal(tagged.status, 200)
      assert.equal(tagged.headers['content-type'], mediaTypes.oci.index)
      assert.equal(tagged.headers['docker-content-digest'], digestOf(tagged.body))
      assert.deepEqual(tagged.body, listedThere.body)
    }
  })
})
