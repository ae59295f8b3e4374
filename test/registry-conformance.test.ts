import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { digestOf } from '../src/image/digest.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let server: ServerProcess
let lenient: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  const set = await workspace.packageSet(`hello = script "hello" "echo hi";`)
  server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_PLATFORMS: 'amd64' })
  lenient = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_TAGS: 'any', NIXERY_CATALOG: 'on' })
})
after(() => workspace.dispose())

// The media types that the distribution spec's conformance suite accepts.
const headers = { Accept: `${mediaTypes.oci.index},${mediaTypes.oci.manifest}` }
const random = () => digestOf(randomBytes(16))

type Manifest = {
  schemaVersion: number
  mediaType: string
  config: { digest: string; size: number }
  layers: { digest: string; size: number }[]
}

/** The requirements of the distribution spec's conformance suite for a read-only registry. */
describe('the registry, read only', () => {
  let manifest: Manifest
  let digest: string
  before(async () => {
    const { json, response } = await requestV2(server, 'hello/manifests/latest', { headers })
    manifest = json as Manifest
    digest = response.headers.get('Docker-Content-Digest') ?? ''
  })

  it('identifies itself', async () => {
    assert.equal((await requestV2(server, '')).response.status, 200)
  })

  it('lists the available tag', async () => {
    const { response, json } = await requestV2(server, 'hello/tags/list')
    assert.equal(response.status, 200)
    assert.deepEqual(json, { name: 'hello', tags: ['latest'] })
  })

  it('serves the manifest by tag and by digest, for HEAD and GET', async () => {
    for (const reference of ['latest', digest]) {
      const get = await requestV2(server, `hello/manifests/${reference}`, { headers })
      assert.equal(get.response.status, 200)
      assert.equal(digestOf(get.text), digest)
      assert.equal(manifest.schemaVersion, 2)
      assert.equal(get.response.headers.get('Content-Type'), manifest.mediaType)
      const head = await requestV2(server, `hello/manifests/${reference}`, { headers, method: 'HEAD' })
      assert.equal(head.response.status, 200)
      for (const name of ['Content-Type', 'Content-Length', 'Docker-Content-Digest']) {
        assert.equal(head.response.headers.get(name), get.response.headers.get(name))
      }
    }
  })

  it('serves every blob for HEAD and GET', async () => {
    for (const { digest: blob, size } of [manifest.config, ...manifest.layers]) {
      const address = `http://${server.address}/v2/hello/blobs/${blob}`
      const get = await fetch(address)
      assert.equal(get.status, 200)
      assert.equal(digestOf(new Uint8Array(await get.arrayBuffer())), blob)
      const head = await fetch(address, { method: 'HEAD' })
      assert.equal(head.status, 200)
      assert.equal(head.headers.get('Content-Length'), String(size))
      assert.equal(head.headers.get('Docker-Content-Digest'), blob)
    }
  })

  it('lists no referrers, in a valid index', async () => {
    for (const subject of [random(), digest]) {
      const { response, json } = await requestV2(server, `hello/referrers/${subject}`)
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('Content-Type'), mediaTypes.oci.index)
      assert.deepEqual(json, { schemaVersion: 2, mediaType: mediaTypes.oci.index, manifests: [] })
    }
  })

  const refused: [what: string, path: () => string, status: number, code: string][] = [
    ['a manifest', () => `hello/manifests/${random()}`, 404, 'MANIFEST_UNKNOWN'],
    ['a tag', () => `hello/manifests/missing-${randomBytes(8).toString('hex')}`, 404, 'MANIFEST_UNKNOWN'],
    ['a blob', () => `hello/blobs/${random()}`, 404, 'BLOB_UNKNOWN'],
    ['a bad digest of a manifest', () => 'hello/manifests/sha256:baddigeststring', 400, 'DIGEST_INVALID'],
    ['a bad digest of a blob', () => 'hello/blobs/sha256:baddigeststring', 400, 'DIGEST_INVALID'],
  ]
  for (const [what, path, status, code] of refused) {
    it(`refuses ${what} that does not exist or is invalid`, async () => {
      const { response, json } = await requestV2(server, path(), { headers })
      assert.equal(response.status, status)
      assert.equal((json as Failure).errors[0]?.code, code)
    })
  }
})

describe('with ignored tags', () => {
  it('pulled tags and names are listed', async () => {
    for (const tag of ['v2', 'v10', 'latest']) {
      assert.equal((await requestV2(lenient, `hello/manifests/${tag}`)).response.status, 200)
    }
    // Pulls are recorded shortly after the response.
    const tags = async () => ((await requestV2(lenient, 'hello/tags/list')).json as { tags: string[] }).tags
    await until(async () => (await tags()).length === 3, 'three tags are listed')
    assert.deepEqual(await tags(), ['latest', 'v10', 'v2'])
    const { response, json } = await requestV2(lenient, 'hello/tags/list?n=1')
    assert.deepEqual((json as { tags: string[] }).tags, ['latest'])
    assert.equal(response.headers.get('Link'), '</v2/hello/tags/list?n=1&last=latest>; rel="next"')
    assert.deepEqual((await requestV2(lenient, '_catalog')).json, { repositories: ['hello'] })
    assert.equal((await requestV2(server, '_catalog')).response.status, 404)
  })

  it('no image is built for a signature’s tag', async () => {
    const { response } = await requestV2(lenient, 'hello/manifests/latest')
    const tag = (response.headers.get('Docker-Content-Digest') ?? '').replace(':', '-')
    for (const ending of ['', '.sig', '.att', '.sbom']) {
      assert.equal((await requestV2(lenient, `hello/manifests/${tag}${ending}`)).response.status, 404)
    }
  })
})
