import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { digestOf, hexOf, parseDigest } from '../src/image/digest.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { startNginx, type Nginx } from './support/nginx.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

/** The documented configuration, with the addresses and folder of this test. */
async function documentedConfiguration(port: number, server: ServerProcess, layers: string): Promise<string> {
  const text = await readFile(join(import.meta.dirname, '..', 'docs', 'front-server.md'), 'utf8')
  const block = /```nginx\n(?<block>[^]*?)```/.exec(text)?.groups?.['block'] ?? ''
  const changes = [
    ['127.0.0.1:8080', server.address],
    ['listen 80;', `listen 127.0.0.1:${port};`],
    ['/var/lib/nixery/store/layers/', `${layers}/`],
  ] as const
  return changes.reduce((result, [from, to]) => {
    assert.ok(result.includes(from), from)
    return result.replace(from, to)
  }, block)
}

describe('nginx in front', () => {
  let workspace: Workspace
  let server: ServerProcess
  let address: string
  let nginx: Nginx | undefined
  let blob: { digest: string; size: number }
  let whole: Buffer
  before(async () => {
    workspace = await openWorkspace()
    const set = await workspace.packageSet(`
      big = run "big" "mkdir -p $out; head -c 3000000 /dev/urandom > $out/noise";
    `)
    const store = join(workspace.folder, 'blobs')
    server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      STORAGE_PATH: store,
      NIXERY_SENDFILE: '/blobs/',
    })
    nginx = await startNginx(join(workspace.folder, 'nginx'), (port) =>
      documentedConfiguration(port, server, join(store, 'layers')),
    )
    address = nginx.address

    const { json } = await requestV2({ ...server, address }, 'big/manifests/latest', {
      headers: { Accept: mediaTypes.oci.manifest },
    })
    const { layers } = json as { layers: { digest: string; size: number }[] }
    blob = layers.reduce((most, layer) => (layer.size > most.size ? layer : most))
    whole = await readFile(join(store, 'layers', hexOf(parseDigest(blob.digest))))
  })
  after(async () => {
    await nginx?.stop()
    await workspace.dispose()
  })
  const get = (init?: RequestInit) => fetch(`http://${address}/v2/big/blobs/${blob.digest}`, init)

  it('sends blobs itself, with the headers that clients need', async () => {
    const response = await get()
    assert.equal(response.status, 200)
    assert.equal(digestOf(new Uint8Array(await response.arrayBuffer())), blob.digest)
    assert.equal(response.headers.get('Content-Length'), String(blob.size))
    assert.equal(response.headers.get('Docker-Content-Digest'), blob.digest)
    assert.equal(response.headers.get('ETag'), `"${blob.digest}"`)
    assert.equal(response.headers.get('Content-Type'), 'application/octet-stream')
    assert.equal(response.headers.get('Accept-Ranges'), 'bytes')
    assert.match(response.headers.get('Cache-Control') ?? '', /immutable/)
    assert.equal(response.headers.get('Docker-Distribution-Api-Version'), 'registry/2.0')
    assert.equal(response.headers.get('X-Accel-Redirect'), null)
    assert.equal(response.headers.get('Content-Encoding'), null)

    const direct = await fetch(`http://${server.address}/v2/big/blobs/${blob.digest}`)
    assert.equal(direct.headers.get('X-Accel-Redirect'), `/blobs/${hexOf(parseDigest(blob.digest))}`)
    assert.equal((await direct.arrayBuffer()).byteLength, 0)
  })

  it('sends ranges of blobs', async () => {
    const rows: [range: string, bytes: Buffer][] = [
      ['bytes=0-9', whole.subarray(0, 10)],
      ['bytes=1000000-', whole.subarray(1_000_000)],
      ['bytes=-7', whole.subarray(-7)],
    ]
    for (const [range, bytes] of rows) {
      const response = await get({ headers: { Range: range } })
      assert.equal(response.status, 206)
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes), range)
      assert.equal(response.headers.get('Docker-Content-Digest'), blob.digest)
    }
    const several = await get({ headers: { Range: 'bytes=0-1,5-9' } })
    assert.match(several.headers.get('Content-Type') ?? '', /^multipart\/byteranges; boundary=/)
    assert.equal((await get({ headers: { Range: `bytes=${blob.size}-` } })).status, 416)
  })

  it('leaves responses without a blob to the registry', async () => {
    const head = await get({ method: 'HEAD' })
    assert.equal(head.headers.get('Content-Length'), String(blob.size))
    assert.equal(head.headers.get('Docker-Content-Digest'), blob.digest)
    assert.equal((await get({ headers: { 'If-None-Match': `"${blob.digest}"` } })).status, 304)
    const { response, json } = await requestV2({ ...server, address }, `big/blobs/sha256:${'0'.repeat(64)}`)
    assert.equal(response.status, 404)
    assert.equal((json as { errors: { code: string }[] }).errors[0]?.code, 'BLOB_UNKNOWN')
  })

  it('does not serve the files under another path', async () => {
    const hex = hexOf(parseDigest(blob.digest))
    assert.equal((await fetch(`http://${address}/blobs/${hex}`)).status, 404)
  })
})
