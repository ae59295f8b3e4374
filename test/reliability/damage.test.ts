import assert from 'node:assert/strict'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { digestOf } from '../../src/image/digest.ts'
import type { ServerProcess } from '../../scripts/server.ts'
import { runNixery } from '../support/command.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'
import { pullImage } from './puller.ts'

let workspace: Workspace
let set: string
before(async () => {
  workspace = await openWorkspace()
  set = await workspace.packageSet(
    'big = run "big" "mkdir -p $out/bin; head -c 3000000 /dev/urandom > $out/bin/big"; hello = script "hello" "echo hi";',
  )
})
after(() => workspace.dispose())

/** Flips a bit in the middle of a file. */
async function damage(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    const at = Math.floor((await handle.stat()).size / 2)
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, at)
    byte[0] = (byte[0] ?? 0) ^ 1
    await handle.write(byte, 0, 1, at)
  } finally {
    await handle.close()
  }
}

/** Requests a blob and a part of it; a complete response must match the digest. */
async function assertNotServed(server: ServerProcess, digest: string): Promise<void> {
  const url = `http://${server.address}/v2/big/blobs/${digest}`
  const whole = await fetch(url)
  const bytes = await whole.bytes().catch(() => undefined) // the server closed the connection
  const isIntact = bytes !== undefined && digestOf(bytes) === digest
  assert.ok(whole.status !== 200 || bytes === undefined || isIntact, 'the server sent a damaged blob')
  const part = await fetch(url, { headers: { Range: 'bytes=0-9' } })
  await part.bytes().catch(() => undefined)
  if (!isIntact) assert.equal(part.status, 404)
}

describe('blobs that are damaged on disk without a change of size', () => {
  const openWorld = async (name: string) => {
    const data = join(workspace.folder, name)
    const layers = join(data, 'store', 'layers')
    const environment = { NIXERY_PKGS_PATH: set, NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') }
    const serve = () => workspace.serve(environment)
    const server = await serve()
    const image = await pullImage(server.address, 'big')
    /** Damages layers only: damage to a manifest is detected only when it is read. */
    const damageAll = async () => {
      for (const blob of await readdir(layers)) await damage(join(layers, blob))
    }
    const scrub = (...args: string[]) => runNixery(data, set, ['scrub', ...args], { env: environment })
    return { layers, serve, server, image, damageAll, scrub }
  }

  it('are not served by the server that stored them, and are recreated by the next pull', async () => {
    const { server, image, layers, damageAll } = await openWorld('running')
    await damageAll()
    for (const digest of image.blobs) await assertNotServed(server, digest)
    assert.deepEqual(await pullImage(server.address, 'big'), image)
    for (const blob of await readdir(layers)) {
      assert.equal(digestOf(await readFile(join(layers, blob))), `sha256:${blob}`)
    }
  })

  it('are not served by a later server, and are recreated by the next pull', async () => {
    const { server, serve, image, damageAll } = await openWorld('restarted')
    await server.stop()
    await damageAll()
    const later = await serve()
    const manifest = await fetch(`http://${later.address}/v2/big/manifests/${image.digest}`)
    assert.equal(manifest.status, 404)
    for (const digest of image.blobs) await assertNotServed(later, digest)
    assert.deepEqual(await pullImage(later.address, 'big'), image)
  })

  it('are found by scrub, removed, and recreated by the next pull', async () => {
    const { server, image, layers, damageAll, scrub } = await openWorld('scrubbed')
    const count = (await readdir(layers)).length
    await damageAll()
    const dry = await scrub('--dry-run')
    assert.equal(dry.exitCode, 6, dry.stderr)
    assert.equal(dry.stdout.split('\n').length, count)
    assert.equal((await readdir(layers)).length, count)
    assert.equal((await scrub()).exitCode, 6)
    assert.deepEqual(await readdir(layers), [])
    for (const digest of image.blobs) await assertNotServed(server, digest)
    assert.deepEqual(await pullImage(server.address, 'big'), image)
    assert.equal((await scrub()).exitCode, 0)
    for (const part of image.blobs) {
      assert.ok((await stat(join(layers, part.slice('sha256:'.length)))).size > 0)
    }
  })
})
