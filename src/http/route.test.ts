import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { NixeryError } from '../errors.ts'
import { parseRoute } from './route.ts'
import { codeOf, openTestRegistry, type TestRegistry } from './testing.ts'
import { anyString } from '../text/testing.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('parseRoute', () => {
  const rows: [path: string, kind: string][] = [
    ['/v2', 'ping'],
    ['/v2/', 'ping'],
    ['/v2/_catalog', 'catalog'],
    ['/v2/a/manifests/latest', 'image'],
    ['/v2/a/b/manifests/v1.2_3-x', 'image'],
    ['/v2/a%2Fb/manifests/latest', 'image'],
    ['/v2/tags/list/manifests/latest', 'image'],
    ['/v2/manifests/manifests/latest', 'image'],
    ['/v2/a/manifests/sha256-b', 'image'],
    [`/v2/a/manifests/${digest}`, 'manifest'],
    [`/v2/a/manifests/${digest.replace(':', '%3A')}`, 'manifest'],
    [`/v2/a/manifests/sha512:${'0'.repeat(128)}`, 'manifest'],
    [`/v2/a/manifests/${digest.replace(':', '-')}`, 'referrersTag'],
    [`/v2/a/manifests/${digest.replace(':', '-')}.sig`, 'attachedTag'],
    [`/v2/a/blobs/${digest}`, 'blob'],
    [`/v2/uploads/blobs/blobs/${digest}`, 'blob'],
    [`/v2/a/referrers/${digest}`, 'referrers'],
    ['/v2/a/tags/list', 'tags'],
    ['/v2/shell/tags/tags/list', 'tags'],
  ]
  for (const [path, kind] of rows) {
    it(`takes ${path} for ${kind}`, () => assert.equal(parseRoute('GET', path).kind, kind))
  }

  it('parses or refuses any input', () => {
    const part = fc.constantFrom(
      'a',
      'manifests',
      'blobs',
      'tags',
      'list',
      'referrers',
      '_catalog',
      'uploads',
      '%',
      '%2F',
    )
    const path = fc.oneof(
      anyString(),
      fc.array(part).map((parts) => parts.join('/')),
    )
    fc.assert(
      fc.property(fc.constantFrom('GET', 'HEAD', 'PUT', 'x'), path, (method, below) => {
        try {
          parseRoute(method, `/v2/${below}`)
        } catch (error) {
          assert.ok(error instanceof NixeryError)
          assert.ok(!/[<\r\n]/.test(error.message))
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the registry with arbitrary input', () => {
  let registry: TestRegistry
  before(async () => (registry = await openTestRegistry()))
  after(() => registry.dispose())

  it('never fails, and reports each failure in the format of the spec', async () => {
    const known = [digest, 'latest', registry.blob.digest, registry.image.manifests.oci.digest]
    const address = fc
      .tuple(
        fc.constantFrom('manifests', 'blobs', 'referrers', 'tags'),
        fc.constantFrom(...known, 'list', '%00'),
      )
      .map(([kind, reference]) => `hello/${kind}/${reference}`)
    const path = fc.oneof(address, fc.webPath(), fc.string({ unit: 'grapheme' }).map(encodeURIComponent))
    const query = fc.oneof(
      fc.constant(''),
      fc.webQueryParameters().map((text) => `?${text}`),
    )
    const value = fc.oneof(
      fc.stringMatching(/^[\x20-\x7e]{0,40}$/),
      fc.constantFrom('bytes=0-1,-5', 'bytes=9999999-', '*', `W/"${digest}"`, `"${registry.blob.digest}"`),
    )
    const name = fc.constantFrom(
      'Accept',
      'Range',
      'If-None-Match',
      'If-Match',
      'If-Range',
      'Accept-Encoding',
    )
    const headers = fc.dictionary(name, value)
    await fc.assert(
      fc.asyncProperty(
        path,
        query,
        headers,
        fc.constantFrom('GET', 'HEAD', 'PUT'),
        async (below, asked, given, method) => {
          const answer = await registry.clients[0].fetch(`/v2/${below}${asked}`, { method, headers: given })
          assert.ok(answer.status < 500, `${answer.status}`)
          if (answer.status >= 400 && method === 'GET') codeOf(answer)
          if (answer.headers['content-length'] !== undefined && method === 'GET') {
            assert.equal(answer.headers['content-length'], String(answer.body.length))
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
