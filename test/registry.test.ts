import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { digestOf } from '../src/image/digest.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let server: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  const set = await workspace.packageSet(`
    hello = script "hello" "echo hi";
    greeter = run "greeter" "mkdir -p $out/share; echo \${hello} > $out/share/uses";
  `)
  server = await workspace.serve({ NIXERY_PKGS_PATH: set })
})
after(() => workspace.dispose())

type Manifest = { mediaType: string; config: Part; layers: Part[] }
type Part = { mediaType: string; digest: string; size: number }

const manifestOf = async (name: string, accept?: string) => {
  const { response, text, json } = await requestV2(server, `${name}/manifests/latest`, {
    headers: accept ? { Accept: accept } : {},
  })
  return { response, text, manifest: json as Manifest }
}

describe('the registry', () => {
  const nothing = `sha256:${'0'.repeat(64)}`
  const rows: [what: string, method: string, path: string, status: number, code: string][] = [
    ['an unknown package', 'GET', 'nope/manifests/latest', 404, 'MANIFEST_UNKNOWN'],
    ['an unknown manifest', 'GET', `hello/manifests/${nothing}`, 404, 'MANIFEST_UNKNOWN'],
    ['an unknown blob', 'GET', `hello/blobs/${nothing}`, 404, 'BLOB_UNKNOWN'],
    ['an unknown tag', 'GET', 'hello/manifests/v1', 404, 'MANIFEST_UNKNOWN'],
    ['an invalid tag', 'GET', 'hello/manifests/-v1', 404, 'MANIFEST_UNKNOWN'],
    ['an invalid manifest digest', 'GET', 'hello/manifests/sha256:bad', 400, 'DIGEST_INVALID'],
    ['an invalid blob digest', 'GET', 'hello/blobs/sha256:bad', 400, 'DIGEST_INVALID'],
    ['upper-case digits in a digest', 'GET', `hello/blobs/sha256:${'A'.repeat(64)}`, 400, 'DIGEST_INVALID'],
    ['an empty name', 'GET', '/manifests/latest', 400, 'NAME_INVALID'],
    ['a name with an empty component', 'GET', 'a%2f%2fb/manifests/latest', 400, 'NAME_INVALID'],
    ['a name with invalid characters', 'GET', 'a%20b/manifests/latest', 400, 'NAME_INVALID'],
    ['markup in a name', 'GET', '%3Cscript%3E/manifests/latest', 400, 'NAME_INVALID'],
    ['a name that is not UTF-8', 'GET', '%ff/manifests/latest', 400, 'NAME_INVALID'],
    ['a path as name', 'GET', '..%2f..%2fetc/manifests/latest', 400, 'NAME_INVALID'],
    ['a name that is too long', 'GET', `${'a'.repeat(256)}/manifests/latest`, 400, 'NAME_INVALID'],
    [
      '31 packages',
      'GET',
      `${Array.from({ length: 31 }, (_, i) => `p${i}`).join('/')}/manifests/latest`,
      400,
      'NAME_INVALID',
    ],
    ['an unknown route', 'GET', 'hello/what', 404, 'UNSUPPORTED'],
    ['starting an upload', 'POST', 'hello/blobs/uploads/', 405, 'UNSUPPORTED'],
    ['pushing a manifest', 'PUT', 'hello/manifests/latest', 405, 'UNSUPPORTED'],
    ['continuing an upload', 'PATCH', 'hello/blobs/uploads/1', 405, 'UNSUPPORTED'],
    ['deleting a blob', 'DELETE', `hello/blobs/${nothing}`, 405, 'UNSUPPORTED'],
    ['another method at the base', 'POST', '', 405, 'UNSUPPORTED'],
  ]
  for (const [what, method, path, status, code] of rows) {
    it(`refuses ${what} with ${status} ${code}`, async () => {
      const { response, json, text } = await requestV2(server, path, { method })
      assert.equal(response.status, status)
      assert.equal((json as Failure).errors[0]?.code, code)
      assert.equal(response.headers.get('Content-Type'), 'application/json')
      assert.equal(response.headers.get('Docker-Distribution-Api-Version'), 'registry/2.0')
      assert.equal(response.headers.get('Content-Length'), String(Buffer.byteLength(text)))
      if (status === 405) assert.equal(response.headers.get('Allow'), 'GET, HEAD')
      assert.ok(!text.includes('<script>'))
    })
    if (method === 'GET') {
      it(`refuses ${what} without a body for HEAD`, async () => {
        const { response, text } = await requestV2(server, path, { method: 'HEAD' })
        assert.equal(response.status, status)
        assert.equal(text, '')
      })
    }
  }

  it('responds at its base path', async () => {
    for (const method of ['GET', 'HEAD']) {
      const { response } = await requestV2(server, '', { method })
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('Docker-Distribution-Api-Version'), 'registry/2.0')
    }
    const { status } = await fetch(`http://${server.address}/nothing`)
    assert.equal(status, 404)
  })

  it('ignores a query string', async () => {
    for (const path of ['?ns=example.org', 'hello/manifests/latest?ns=example.org&x']) {
      assert.equal((await requestV2(server, path)).response.status, 200)
    }
  })

  it('names all missing packages, with suggestions', async () => {
    const { json } = await requestV2(server, 'helo/hello/nope/manifests/latest')
    const [error] = (json as Failure).errors
    assert.match(error?.message ?? '', /^Could not find Nix packages: \[helo nope\]\./)
    assert.match(error?.message ?? '', /For helo, did you mean hello\?/)
  })

  const forms: [accept: string | undefined, form: 'docker' | 'oci'][] = [
    [undefined, 'docker'],
    ['*/*', 'docker'],
    [mediaTypes.docker.manifest, 'docker'],
    [mediaTypes.oci.manifest, 'oci'],
    [`${mediaTypes.docker.manifest}, ${mediaTypes.oci.manifest};q=0.5, */*`, 'oci'],
  ]
  for (const [accept, form] of forms) {
    it(`serves the ${form} format to a client that accepts ${accept ?? 'anything'}`, async () => {
      const { response, text, manifest } = await manifestOf('hello', accept)
      const types = mediaTypes[form]
      assert.equal(response.headers.get('Content-Type'), types.manifest)
      assert.equal(response.headers.get('Docker-Content-Digest'), digestOf(text))
      assert.equal(response.headers.get('Content-Length'), String(Buffer.byteLength(text)))
      assert.equal(manifest.mediaType, types.manifest)
      assert.equal(manifest.config.mediaType, types.config)
      for (const layer of manifest.layers) assert.equal(layer.mediaType, types.layer.gzip)

      const byDigest = await requestV2(server, `any/name/manifests/${digestOf(text)}`)
      assert.equal(byDigest.text, text)
      assert.equal(byDigest.response.headers.get('Content-Type'), types.manifest)
    })
  }

  it('responds to HEAD of a manifest as to GET, without the body', async () => {
    const get = await requestV2(server, 'hello/manifests/latest')
    const head = await requestV2(server, 'hello/manifests/latest', { method: 'HEAD' })
    for (const name of ['Content-Type', 'Content-Length', 'Docker-Content-Digest', 'ETag']) {
      assert.equal(head.response.headers.get(name), get.response.headers.get(name))
    }
    assert.equal(head.text, '')
  })

  it('serves every blob of a manifest with its digest and size', async () => {
    const { manifest } = await manifestOf('hello')
    for (const { digest, size } of [manifest.config, ...manifest.layers]) {
      const response = await fetch(`http://${server.address}/v2/hello/blobs/${digest}`)
      const bytes = Buffer.from(await response.arrayBuffer())
      assert.equal(digestOf(bytes), digest)
      assert.equal(bytes.length, size)
      assert.equal(response.headers.get('Content-Length'), String(size))
      assert.equal(response.headers.get('Docker-Content-Digest'), digest)
      const head = await fetch(`http://${server.address}/v2/hello/blobs/${digest}`, { method: 'HEAD' })
      assert.equal(head.headers.get('Content-Length'), String(size))
    }
  })

  it('serves no other blob as a manifest', async () => {
    const { manifest } = await manifestOf('hello')
    for (const { digest } of [manifest.config, ...manifest.layers]) {
      const { response } = await requestV2(server, `hello/manifests/${digest}`)
      assert.equal(response.status, 404)
    }
  })

  it('serves ranges of a blob', async () => {
    const { manifest } = await manifestOf('hello')
    const { digest, size } = manifest.config
    const url = `http://${server.address}/v2/hello/blobs/${digest}`
    const whole = Buffer.from(await (await fetch(url)).arrayBuffer())
    const parts: [string, number, Buffer][] = [
      ['bytes=0-9', 206, whole.subarray(0, 10)],
      ['bytes=10-', 206, whole.subarray(10)],
      ['bytes=-7', 206, whole.subarray(-7)],
      [`bytes=0-${size * 2}`, 206, whole],
      ['lines=1-2', 200, whole],
    ]
    for (const [range, status, bytes] of parts) {
      const response = await fetch(url, { headers: { Range: range } })
      assert.equal(response.status, status, range)
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes, range)
    }
    for (const range of [`bytes=${size}-`, 'bytes=5-4', 'bytes=500-0']) {
      const outOfRange = await fetch(url, { headers: { Range: range } })
      assert.equal(outOfRange.status, 416, range)
      assert.equal(outOfRange.headers.get('Content-Range'), `bytes */${size}`)
    }
  })

  it('leaves no file open after HEAD and aborted GET', async () => {
    const { manifest } = await manifestOf('hello')
    const url = `http://${server.address}/v2/hello/blobs/${manifest.layers[0]?.digest}`
    const { readdir } = await import('node:fs/promises')
    const open = async () => (await readdir(`/proc/${server.pid}/fd`)).length
    const first = await open()
    for (let count = 0; count < 50; count += 1) await fetch(url, { method: 'HEAD' })
    for (let count = 0; count < 20; count += 1) {
      const abort = new AbortController()
      const response = await fetch(url, { signal: abort.signal })
      abort.abort()
      await response.body?.cancel().catch(() => {})
    }
    // The client's few connections are open files of the server, too.
    await until(async () => (await open()) - first < 25, 'the server closes the files')
  })
})
