import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { openPodman, type Podman } from '../scripts/podman.ts'
import type { ServerProcess } from '../scripts/server.ts'
import { digestOf } from '../src/image/digest.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { describeEach } from '../src/layers/engines-testing.ts'
import { runNixery } from './support/command.ts'
import { requestV2, demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let podman: Podman
let demo: string
before(async () => {
  workspace = await openWorkspace()
  demo = await demoPackages()
  podman = await openPodman(join(workspace.folder, 'podman'))
})
after(async () => {
  await podman.destroy()
  await workspace.dispose()
})

type Manifest = {
  readonly config: { readonly digest: string }
  readonly layers: readonly { readonly mediaType: string; readonly digest: string }[]
}

describeEach('an image', ({ compressor: { engine, format } }) => {
  let server: ServerProcess
  let data: string
  before(async () => {
    data = join(workspace.folder, engine)
    server = await workspace.serve({
      NIXERY_PKGS_PATH: demo,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_COMPRESSION: engine,
    })
  })
  after(() => server.stop())

  const manifestIn = async (form: 'docker' | 'oci', name = 'shell/hello'): Promise<Manifest> => {
    const headers = { Accept: mediaTypes[form].manifest }
    const { response, json, text } = await requestV2(server, `${name}/manifests/latest`, { headers })
    assert.equal(response.status, 200, text)
    const manifest = json as Manifest
    for (const { mediaType } of manifest.layers) assert.equal(mediaType, format.mediaTypes[form])
    return manifest
  }

  it('is pulled and run by podman', async () => {
    await manifestIn('oci')
    const image = `${server.address}/shell/hello`
    await podman.pull(image)
    assert.equal(await podman.runIn(image, 'hello'), 'Hello, world!')
    await podman.run('rmi', '--force', image)
  })

  it('shares packed layers with another image', async () => {
    const { layers } = await manifestIn('oci')
    const others = (await manifestIn('oci', 'shell/hello/jq')).layers
    const shared = layers.filter(({ digest }) => others.some((layer) => layer.digest === digest))
    assert.equal(shared.length, layers.length - 1) // the last one has the links
  })

  it('is unpacked by umoci', async () => {
    const layout = join(data, 'layout')
    const source = `docker://${server.address}/shell/hello`
    await execa('skopeo', ['copy', '--src-tls-verify=false', source, `oci:${layout}:latest`])
    const { layers } = await manifestIn('oci')
    const raw = JSON.parse(
      (await execa('skopeo', ['inspect', '--raw', `oci:${layout}:latest`])).stdout,
    ) as Manifest
    // skopeo compresses uncompressed layers itself.
    if (format.name !== 'none') assert.deepEqual(raw.layers, layers)
    if (format.name === 'zstd') return // umoci 0.4 does not support zstd
    await execa('umoci', ['unpack', '--image', `${layout}:latest`, join(data, 'bundle')])
  })

  it('is readable in Docker’s format, which has fewer media types', async () => {
    const manifest = await manifestIn('docker')
    const folder = join(data, 'docker-form')
    await mkdir(folder)
    await writeFile(join(folder, 'version'), 'Directory Transport Version: 1.1\n')
    await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest))
    for (const { digest } of [manifest.config, ...manifest.layers]) {
      const blob = await fetch(`http://${server.address}/v2/shell/hello/blobs/${digest}`)
      await writeFile(join(folder, digest.slice('sha256:'.length)), new Uint8Array(await blob.arrayBuffer()))
    }
    await execa('skopeo', ['copy', `dir:${folder}`, `docker-archive:${join(data, 'docker-form.tar')}`])
  })

  it('is loaded by podman from an archive for Docker', async () => {
    const archive = join(data, 'archive.tar')
    const env = { NIXERY_COMPRESSION: engine }
    const built = await runNixery(data, demo, ['build', 'shell/hello', '-o', `docker-archive:${archive}`], {
      env,
    })
    assert.equal(built.exitCode, 0, built.stderr)
    const loaded = await podman.run('load', '--quiet', '--input', archive)
    const image = loaded.replace('Loaded image: ', '')
    assert.equal(await podman.runIn(image, 'hello'), 'Hello, world!')
    await podman.run('rmi', '--force', image)
  })
})

describe('a compression', () => {
  it('of a previous setting leaves blobs that are served only by digest', async () => {
    const data = join(workspace.folder, 'changed')
    const serve = (engine: string) =>
      workspace.serve({
        NIXERY_PKGS_PATH: demo,
        NIXERY_DATA: data,
        STORAGE_PATH: join(data, 'store'),
        NIXERY_COMPRESSION: engine,
      })
    const digestIn = async (server: ServerProcess, reference: string) => {
      const headers = { Accept: mediaTypes.oci.manifest }
      const { response, json, text } = await requestV2(server, `hello/manifests/${reference}`, { headers })
      assert.equal(response.status, 200, text)
      return { digest: response.headers.get('Docker-Content-Digest') ?? '', manifest: json as Manifest }
    }
    const earlier = await serve('zstd')
    const { digest } = await digestIn(earlier, 'latest')
    await earlier.stop()
    const server = await serve('gzip')
    try {
      assert.notEqual((await digestIn(server, 'latest')).digest, digest)
      const { manifest } = await digestIn(server, digest)
      for (const { digest: layer } of manifest.layers) {
        const blob = await fetch(`http://${server.address}/v2/hello/blobs/${layer}`)
        assert.equal(digestOf(new Uint8Array(await blob.arrayBuffer())), layer)
      }
    } finally {
      await server.stop()
    }
  })

  it('that does not exist is refused', async () => {
    const run = await runNixery(join(workspace.folder, 'none'), demo, ['build', 'hello'], {
      env: { NIXERY_COMPRESSION: 'bzip2' },
    })
    assert.notEqual(run.exitCode, 0)
    assert.match(run.stderr, /NIXERY_COMPRESSION/)
  })
})
