import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import type { ServerProcess } from '../scripts/server.ts'
import { runNixery } from './support/command.ts'
import { startGcs, type Gcs } from './support/gcs.ts'
import { isError, logOf } from './support/log.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const bucket = 'images'

let workspace: Workspace
let gcs: Gcs
before(async () => {
  workspace = await openWorkspace()
  await mkdir(join(workspace.folder, 'gcs'))
  gcs = await startGcs(join(workspace.folder, 'gcs'))
  gcs.makeBucket(bucket)
})
after(async () => {
  await gcs?.stop()
  await workspace?.dispose()
})

/** A proxy to the bucket that holds the first deletion until `release`. */
async function startHoldingProxy(upstream: string) {
  const held = Promise.withResolvers<string>()
  const released = Promise.withResolvers<void>()
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { url = '/', method, headers } = incoming
    if (method === 'DELETE') {
      held.resolve(url)
      await released.promise
    }
    const onward = request(`${upstream}${url}`, { method, headers, agent: false }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.pipe(onward)
  }
  const server = createServer((incoming, outgoing) => void pass(incoming, outgoing))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: held.promise,
    release: () => released.resolve(),
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}

type Manifest = { config: { digest: string }; layers: { digest: string }[] }

/** Pulls an image with all its blobs. @returns its digests, that of the manifest first */
async function pull(server: ServerProcess, name: string): Promise<string[]> {
  const { response, json, text } = await requestV2(server, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  const { config, layers } = json as Manifest
  const digests = [config, ...layers].map(({ digest }) => digest)
  for (const digest of digests) {
    // `fetch` follows the redirect to the bucket.
    const { status, ok } = await fetch(`http://${server.address}/v2/${name}/blobs/${digest}`)
    assert.ok(ok, `${digest}: ${status}`)
  }
  return [response.headers.get('docker-content-digest') ?? '', ...digests]
}

/** Sets the times of all blobs, images and pulls back by a number of days. */
function age(data: string, days: number) {
  const then = Date.now() - days * 86_400_000
  for (const object of gcs.objects(bucket)) Object.assign(object, { updated: new Date(then).toISOString() })
  const database = new Database(join(data, 'catalog.db'))
  for (const [table, column] of [
    ['images', 'made_at'],
    ['images', 'pulled_at'],
    ['blobs', 'used_at'],
  ])
    database
      .prepare(`UPDATE ${table} SET ${column} = ? WHERE ${column} IS NOT NULL`)
      .run(Math.floor(then / 1000))
  database.prepare("UPDATE about SET value = ? WHERE key = 'born'").run(String(Math.floor(then / 1000)))
  database.close()
}

describe('nixery gc over a slow bucket', () => {
  it('keeps blobs that another process has just started to use', async () => {
    const packages = await workspace.packageSet(`
      first = script "first" "echo one"; second = script "second" "echo two";`)
    const data = join(workspace.folder, 'data')
    const settings = {
      NIXERY_STORAGE_BACKEND: 'gcs',
      GCS_BUCKET: bucket,
      GCS_ENDPOINT: gcs.endpoint,
      GOOGLE_APPLICATION_CREDENTIALS: gcs.account.keyFile,
    }
    const serve = () => workspace.serve({ NIXERY_PKGS_PATH: packages, NIXERY_DATA: data, ...settings })
    const earlier = await serve()
    const first = await pull(earlier, 'first')
    const second = await pull(earlier, 'second')
    await earlier.stop()
    age(data, 40)

    const server = await serve()
    const proxy = await startHoldingProxy(gcs.endpoint)
    const collecting = runNixery(data, packages, ['gc', '--keep', '30', '--json'], {
      env: { ...settings, GCS_ENDPOINT: proxy.endpoint },
    })
    const deleting = await Promise.race([proxy.held, collecting.then(({ stderr }) => assert.fail(stderr))])
    // While one blob is being deleted, a client pulls the other image.
    const isDeleting = (digest: string) => deleting.includes(digest.slice('sha256:'.length))
    const [name, digests] = first.some(isDeleting)
      ? (['second', second] as const)
      : (['first', first] as const)
    assert.ok(!digests.some(isDeleting))
    assert.deepEqual(await pull(server, name), digests)
    proxy.release()
    const { exitCode, stderr } = await collecting
    proxy.stop()
    assert.equal(exitCode, 0, stderr)

    const stored = gcs.objects(bucket).map((object) => object.name)
    for (const digest of digests) {
      assert.ok(
        stored.some((object) => object.endsWith(digest.slice('sha256:'.length))),
        digest,
      )
    }
    assert.deepEqual(await pull(server, name), digests)
    assert.equal((await logOf(server)).filter(isError).length, 0)
  })
})
