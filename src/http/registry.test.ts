import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'
import { amd64, arm64 } from '../image/platform.ts'
import { codeOf, lasting, openTestRegistry, type TestClient, type TestRegistry } from './testing.ts'

let registry: TestRegistry
let several: TestRegistry
before(async () => {
  registry = await openTestRegistry()
  several = await registry.with({ platforms: [amd64, arm64] })
})
after(async () => {
  await several.dispose()
  await registry.dispose()
})

const clients = ['without a server', 'over a server'] as const
const client = (name: (typeof clients)[number], of = registry): TestClient => {
  const found = of.clients.find((each) => each.name === name)
  assert.ok(found)
  return found
}

const sha256 = (digit: string) => `sha256:${digit.repeat(64)}`
const nothing = sha256('0')
const oci = mediaTypes.oci.manifest
const docker = mediaTypes.docker.manifest

for (const name of clients) {
  describe(`the registry, ${name}`, () => {
    const refused: [what: string, path: string, status: number, code: string][] = [
      ['an unknown package', 'nope/manifests/latest', 404, 'MANIFEST_UNKNOWN'],
      ['an unknown tag', 'hello/manifests/missing-1', 404, 'MANIFEST_UNKNOWN'],
      ['an unknown manifest', `hello/manifests/${nothing}`, 404, 'MANIFEST_UNKNOWN'],
      ['an unknown blob', `hello/blobs/${nothing}`, 404, 'BLOB_UNKNOWN'],
      ['a tag with a leading hyphen', 'hello/manifests/-v1', 404, 'MANIFEST_UNKNOWN'],
      ['a tag that is too long', `hello/manifests/${'t'.repeat(129)}`, 404, 'MANIFEST_UNKNOWN'],
      ['no tag', 'hello/manifests/', 404, 'MANIFEST_UNKNOWN'],
      ['markup as a tag', 'hello/manifests/%3Cb%3E', 404, 'MANIFEST_UNKNOWN'],
      ['a digest that is not hexadecimal', 'hello/manifests/sha256:baddigeststring', 400, 'DIGEST_INVALID'],
      [
        'a blob’s digest that is not hexadecimal',
        'hello/blobs/sha256:baddigeststring',
        400,
        'DIGEST_INVALID',
      ],
      ['a digest that is too short', `hello/blobs/sha256:${'0'.repeat(63)}`, 400, 'DIGEST_INVALID'],
      ['upper-case digits', `hello/blobs/sha256:${'A'.repeat(64)}`, 400, 'DIGEST_INVALID'],
      ['no digest', 'hello/blobs/', 400, 'DIGEST_INVALID'],
      ['a tag for a blob', 'hello/blobs/latest', 400, 'DIGEST_INVALID'],
      ['a short sha512', 'hello/blobs/sha512:00', 400, 'DIGEST_INVALID'],
      ['a blob by sha512', `hello/blobs/sha512:${'0'.repeat(128)}`, 404, 'BLOB_UNKNOWN'],
      ['a manifest by sha512', `hello/manifests/sha512:${'0'.repeat(128)}`, 404, 'MANIFEST_UNKNOWN'],
      ['a digest of another algorithm', 'hello/blobs/blake3+b64:aGk=', 404, 'BLOB_UNKNOWN'],
      ['referrers of no digest', 'hello/referrers/latest', 400, 'DIGEST_INVALID'],
      ['referrers of a bad digest', 'hello/referrers/sha256:bad', 400, 'DIGEST_INVALID'],
      [
        'a referrers tag without referrers',
        `hello/manifests/sha256-${'0'.repeat(64)}`,
        404,
        'MANIFEST_UNKNOWN',
      ],
      ['a signature’s tag', `hello/manifests/sha256-${'0'.repeat(64)}.sig`, 404, 'MANIFEST_UNKNOWN'],
      ['an empty name', '/manifests/latest', 400, 'NAME_INVALID'],
      ['a name with an empty part', 'a%2f%2fb/manifests/latest', 400, 'NAME_INVALID'],
      ['a name with invalid characters', 'a%20b/manifests/latest', 400, 'NAME_INVALID'],
      ['markup in a name', '%3Cscript%3E/manifests/latest', 400, 'NAME_INVALID'],
      ['a name that is not UTF-8', '%ff/manifests/latest', 400, 'NAME_INVALID'],
      ['an incomplete percent-encoding', '%f/manifests/latest', 400, 'NAME_INVALID'],
      ['a line break in a name', 'a%0d%0ab/blobs/x', 400, 'NAME_INVALID'],
      ['a path for a name', '..%2f..%2fetc/manifests/latest', 400, 'NAME_INVALID'],
      ['a name that is too long', `${'a'.repeat(256)}/manifests/latest`, 400, 'NAME_INVALID'],
      ['a very long address', `${'a/'.repeat(10_000)}b/manifests/latest`, 400, 'NAME_INVALID'],
      ['tags of a bad name', 'a%20b/tags/list', 400, 'NAME_INVALID'],
      ['tags of an empty name', '/tags/list', 400, 'NAME_INVALID'],
      ['referrers of a bad name', `-a/referrers/${nothing}`, 400, 'NAME_INVALID'],
      ['a list that is not enabled', '_catalog', 404, 'UNSUPPORTED'],
      ['another list of tags', 'hello/tags/all', 404, 'UNSUPPORTED'],
      ['an unknown path', 'hello/what', 404, 'UNSUPPORTED'],
      ['an upload', 'hello/blobs/uploads/1', 404, 'UNSUPPORTED'],
      ['words for a number', 'hello/tags/list?n=many', 400, 'UNSUPPORTED'],
      ['less than nothing', 'hello/tags/list?n=-1', 400, 'UNSUPPORTED'],
      ['half a tag', 'hello/tags/list?n=0.5', 400, 'UNSUPPORTED'],
      ['no number', 'hello/tags/list?n=', 400, 'UNSUPPORTED'],
      ['more tags than there are numbers', `hello/tags/list?n=${'9'.repeat(30)}`, 400, 'UNSUPPORTED'],
      ['an invalid last tag', `hello/tags/list?last=${'a'.repeat(300)}`, 400, 'UNSUPPORTED'],
    ]
    for (const [what, path, status, code] of refused) {
      it(`refuses ${what} with ${status} ${code}, and HEAD alike`, async () => {
        const answer = await client(name).fetch(`/v2/${path}`)
        assert.equal(answer.status, status)
        assert.equal(codeOf(answer), code)
        assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0')
        assert.ok(!/<|[\r\n]/.test(answer.body.toString()))
        const head = await client(name).fetch(`/v2/${path}`, { method: 'HEAD' })
        assert.deepEqual([head.status, head.body.length], [status, 0])
        assert.deepEqual(lasting(head.headers), lasting(answer.headers))
      })
    }

    const writing: [method: string, path: string][] = [
      ['POST', 'hello/blobs/uploads/'],
      ['POST', `hello/blobs/uploads/?mount=${nothing}&from=other`],
      ['PATCH', 'hello/blobs/uploads/1'],
      ['PUT', 'hello/blobs/uploads/1'],
      ['PUT', 'hello/manifests/latest'],
      ['DELETE', 'hello/manifests/latest'],
      ['DELETE', `hello/manifests/${nothing}`],
      ['DELETE', `hello/blobs/${nothing}`],
      ['POST', 'hello/tags/list'],
      ['PUT', `hello/referrers/${nothing}`],
      ['POST', '_catalog'],
      ['POST', ''],
      ['OPTIONS', 'hello/manifests/latest'],
      ['PUT', 'what/ever'],
      ['DELETE', '%ff/manifests/latest'],
    ]
    for (const [method, path] of writing) {
      it(`is read-only: ${method} ${path || '(base)'}`, async () => {
        const answer = await client(name).fetch(`/v2/${path}`, { method })
        assert.equal(answer.status, 405)
        assert.equal(codeOf(answer), 'UNSUPPORTED')
        assert.equal(answer.headers['allow'], 'GET, HEAD')
      })
    }

    it('responds at its base path, with and without a trailing slash', async () => {
      for (const path of ['/v2/', '/v2', '/v2/?ns=example.org']) {
        for (const method of ['GET', 'HEAD']) {
          const { status, headers, body } = await client(name).fetch(path, { method })
          assert.equal(status, 200)
          assert.equal(headers['docker-distribution-api-version'], 'registry/2.0')
          assert.equal(headers['content-type'], 'application/json')
          assert.equal(body.toString(), method === 'GET' ? '{}' : '')
        }
      }
    })

    const forms: [accept: string | undefined, form: 'docker' | 'oci'][] = [
      [undefined, 'docker'],
      ['*/*', 'docker'],
      ['application/*', 'docker'],
      [docker, 'docker'],
      [oci, 'oci'],
      [`${mediaTypes.oci.index},${oci}`, 'oci'],
      [`${docker}, ${oci};q=0.5, */*`, 'oci'],
    ]
    for (const [accept, form] of forms) {
      it(`gives the ${form} form to a client that accepts ${accept ?? 'nothing in particular'}`, async () => {
        const headers: Record<string, string> = accept === undefined ? {} : { Accept: accept }
        const answer = await client(name).fetch('/v2/hello/manifests/latest?ns=example.org&x', { headers })
        const { digest, size } = registry.image.manifests[form]
        assert.equal(digestOf(answer.body), digest)
        const { 'docker-distribution-api-version': _, ...rest } = lasting(answer.headers)
        assert.deepEqual(rest, {
          'content-type': mediaTypes[form].manifest,
          'content-length': String(size),
          'docker-content-digest': digest,
          etag: `"${digest}"`,
          'cache-control': 'no-cache',
          vary: 'Accept',
        })
        const head = await client(name).fetch('/v2/hello/manifests/latest', { method: 'HEAD', headers })
        assert.deepEqual(lasting(head.headers), lasting(answer.headers))
        assert.deepEqual([head.status, head.body.length], [200, 0])
      })
    }

    it('serves a manifest by digest, whatever the client accepts', async () => {
      for (const form of ['docker', 'oci'] as const) {
        const { digest } = registry.image.manifests[form]
        for (const accept of [docker, oci, mediaTypes.oci.index, 'text/html', '*/*']) {
          const path = `/v2/any/name/manifests/${digest}`
          const answer = await client(name).fetch(path, { headers: { Accept: accept } })
          assert.equal(answer.status, 200)
          assert.equal(digestOf(answer.body), digest)
          assert.equal(answer.headers['content-type'], mediaTypes[form].manifest)
          assert.match(answer.headers['cache-control'] ?? '', /immutable/)
          assert.equal(answer.headers['vary'], undefined)
        }
      }
    })

    const indexes: [what: string, platforms: number, accept: string, form: 'docker' | 'oci'][] = [
      ['several platforms', 2, `${oci}, ${mediaTypes.oci.index}`, 'oci'],
      ['several platforms', 2, `${docker}, ${mediaTypes.docker.index}`, 'docker'],
      ['a client that accepts nothing else', 1, mediaTypes.oci.index, 'oci'],
      ['a client that accepts nothing else', 1, mediaTypes.docker.index, 'docker'],
    ]
    for (const [what, platforms, accept, form] of indexes) {
      it(`gives ${form}’s index for ${what}, and its manifests by digest`, async () => {
        const at = client(name, platforms === 2 ? several : registry)
        const answer = await at.fetch('/v2/hello/manifests/latest', { headers: { Accept: accept } })
        assert.equal(answer.headers['content-type'], mediaTypes[form].index)
        assert.equal(answer.headers['docker-content-digest'], digestOf(answer.body))
        const { manifests } = JSON.parse(answer.body.toString()) as { manifests: { digest: string }[] }
        assert.equal(manifests.length, platforms)
        for (const { digest } of [...manifests, { digest: digestOf(answer.body) }]) {
          assert.equal((await at.fetch(`/v2/hello/manifests/${digest}`)).status, 200)
        }
      })
    }

    it('sends one platform’s manifest if the name contains a platform, and to clients without index support', async () => {
      const at = client(name, several)
      const ask = async (path: string, accept: string) =>
        (await at.fetch(path, { headers: { Accept: accept } })).headers['content-type']
      assert.equal(await ask('/v2/arm64/hello/manifests/latest', `${oci},${mediaTypes.oci.index}`), oci)
      assert.equal(await ask('/v2/hello/manifests/latest', oci), oci)
    })

    it('serves no other blob as a manifest', async () => {
      for (const digest of [registry.image.config.digest, registry.blob.digest]) {
        const answer = await client(name).fetch(`/v2/hello/manifests/${digest}`)
        assert.equal(answer.status, 404)
        assert.equal(codeOf(answer), 'MANIFEST_UNKNOWN')
      }
    })

    it('lists no referrers for any manifest, and reports whether it filtered', async () => {
      for (const subject of [registry.image.manifests.oci.digest, nothing, `sha512:${'0'.repeat(128)}`]) {
        const rows: [query: string, filtered: string | undefined][] = [
          ['', undefined],
          ['?artifactType=application/spdx%2Bjson', 'artifactType'],
          ['?artifactType=', undefined],
          ['?ns=x&other', undefined],
        ]
        for (const [query, filtered] of rows) {
          const answer = await client(name).fetch(`/v2/hello/referrers/${subject}${query}`)
          assert.equal(answer.status, 200)
          assert.equal(answer.headers['content-type'], mediaTypes.oci.index)
          assert.equal(answer.headers['oci-filters-applied'], filtered)
          const empty = { schemaVersion: 2, mediaType: mediaTypes.oci.index, manifests: [] }
          assert.deepEqual(JSON.parse(answer.body.toString()), empty)
        }
      }
    })
  })
}
