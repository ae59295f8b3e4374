import assert from 'node:assert/strict'
import { readdir, readFile, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import type { ServerProcess } from '../scripts/server.ts'
import { isError, logOf } from './support/log.ts'
import { runNixery } from './support/command.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
let packages: string
before(async () => {
  workspace = await openWorkspace()
  packages = await workspace.packageSet(`
    hello = script "hello" "echo hi";
    other = run "other" "mkdir -p $out/bin; echo \${hello} > $out/bin/other";
    third = script "third" "echo three";
  `)
})
after(() => workspace.dispose())

let count = 0
const newData = () => join(workspace.folder, `data-of-${(count += 1)}`)
const serve = (data: string, env: Record<string, string> = {}) =>
  workspace.serve({
    NIXERY_PKGS_PATH: packages,
    NIXERY_DATA: data,
    STORAGE_PATH: join(data, 'store'),
    ...env,
  })
const run = (data: string, ...args: string[]) =>
  runNixery(data, packages, args, { env: { STORAGE_PATH: join(data, 'store') } })

type Manifest = { config: { digest: string }; layers: { digest: string }[] }
/** Pulls an image with all its blobs. */
async function pull(server: ServerProcess, name: string) {
  const { response, json, text } = await requestV2(server, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  const { config, layers } = json as Manifest
  const digests = [config, ...layers].map(({ digest }) => digest)
  for (const digest of digests) {
    assert.equal((await requestV2(server, `${name}/blobs/${digest}`)).response.status, 200)
  }
  return { digest: response.headers.get('docker-content-digest') ?? '', layers: digests.slice(1), digests }
}
/** For some seconds the server does not know what another process has removed; a failed request makes it check. */
const pullAfterRemoval = (server: ServerProcess, name: string) =>
  pull(server, name).catch(() => pull(server, name))
const layerFile = (data: string, digest: string) =>
  join(data, 'store', 'layers', digest.slice('sha256:'.length))
const stored = async (data: string) => (await readdir(join(data, 'store', 'layers'))).length

/** Sets the times of all blobs, images and pulls back by a number of days. */
async function age(data: string, days: number) {
  const then = Date.now() / 1000 - days * 86_400
  for (const name of await readdir(join(data, 'store', 'layers'))) {
    await utimes(join(data, 'store', 'layers', name), then, then)
  }
  const database = new Database(join(data, 'catalog.db'))
  for (const [table, column] of [
    ['images', 'made_at'],
    ['images', 'pulled_at'],
    ['blobs', 'used_at'],
  ]) {
    database.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${column} IS NOT NULL`).run(Math.floor(then))
  }
  database.prepare("UPDATE about SET value = ? WHERE key = 'born'").run(String(Math.floor(then)))
  database.close()
}

describe('nixery gc', () => {
  it('removes old images next to a running server, which rebuilds them at the next pull', async () => {
    const data = newData()
    const server = await serve(data)
    const hello = await pull(server, 'hello')
    await pull(server, 'third')
    assert.match((await run(data, 'gc', '--keep', '0')).stderr, /^0 images and 0 blobs removed/m)
    const all = await stored(data)
    // The server writes the times of pulls to the catalog at intervals, and when it stops.
    await server.stop()
    await age(data, 40)
    const restarted = await serve(data)
    const other = await pull(restarted, 'other')
    const dry = await run(data, 'gc', '--keep', '30', '--dry-run')
    assert.equal(dry.exitCode, 0, dry.stderr)
    assert.match(dry.stdout, /^hello:latest amd64 +\d{4}-\d\d-\d\d +\d/m)
    assert.match(dry.stderr, /^2 images and \d+ blobs would be removed, .*\n1 image and \d+ blobs kept, /m)
    assert.ok((await stored(data)) > all)

    const collected = await run(data, 'gc', '--keep', '30', '--json')
    assert.equal(collected.exitCode, 0, collected.stderr)
    const { images, imagesKept } = JSON.parse(collected.stdout) as { images: unknown[]; imagesKept: number }
    assert.deepEqual([images.length, imagesKept], [2, 1])
    assert.ok((await stored(data)) < all)
    assert.deepEqual(await pull(restarted, 'other'), other)
    assert.deepEqual(await pullAfterRemoval(restarted, 'hello'), hello)
    assert.equal((await logOf(restarted)).filter(isError).length, 0)
  })
})

describe('a server without settings for garbage collection', () => {
  it('removes unused rows of its catalog, and produces the same digests', async () => {
    const data = newData()
    const server = await serve(data)
    const hello = await pull(server, 'hello')
    const other = await pull(server, 'other')
    await server.stop()
    const file = join(data, 'catalog.db')
    const change = (statement: string) => {
      const database = new Database(file)
      database.exec(statement)
      database.close()
    }
    const counts = () => {
      const database = new Database(file)
      const counted = ['resolutions', 'paths', 'images'].map((table) =>
        database.prepare(`SELECT count(*) FROM ${table}`).pluck().get(),
      )
      database.close()
      return counted
    }
    const [, paths, images] = counts()
    // With roots of two, one and no images: rows of an image are kept while it has roots.
    for (const left of [2, 1, 0]) {
      change(`UPDATE resolutions SET used_on = used_on - 100; UPDATE paths SET used_on = used_on - 100;
        UPDATE images SET roots = NULL WHERE key NOT IN (SELECT key FROM images ORDER BY key LIMIT ${left})`)
      // Rebuilding popular images would use rows that are to be forgotten.
      const restarted = await serve(data, { NIXERY_GC_INTERVAL: '1', NIXERY_WARM_TOP: '0' })
      await until(() => restarted.log.some(({ msg }) => msg === 'deleted unused catalog entries'))
      const [resolutions, kept, ofImages] = counts()
      assert.equal(resolutions, 0)
      assert.equal(ofImages, images)
      if (left === 2) assert.equal(kept, paths)
      if (left === 0) assert.equal(kept, 0)
      assert.deepEqual([await pull(restarted, 'hello'), await pull(restarted, 'other')], [hello, other])
      await restarted.stop()
      assert.ok(restarted.log.every(({ level }) => level !== 'error' && level !== 'fatal'))
    }
  })
})

describe('nixery scrub', () => {
  it('finds a damaged blob next to a server, which recreates it at the next pull', async () => {
    const data = newData()
    const server = await serve(data)
    const { layers } = await pull(server, 'hello')
    const clean = await run(data, 'scrub')
    assert.equal(clean.exitCode, 0, clean.stderr)
    assert.match(clean.stderr, /no damage found/)

    const [layer = ''] = layers
    const file = layerFile(data, layer)
    const bytes = await readFile(file)
    bytes[20] = (bytes[20] ?? 0) ^ 1
    await writeFile(file, bytes)
    const dry = await run(data, 'scrub', '--dry-run')
    assert.deepEqual([dry.exitCode, dry.stdout], [6, layer])
    const scrubbed = await run(data, 'scrub', '--json')
    assert.equal(scrubbed.exitCode, 6)
    const { damaged } = JSON.parse(scrubbed.stdout) as { damaged: { digest: string }[] }
    assert.deepEqual(
      damaged.map(({ digest }) => digest),
      [layer],
    )
    await pullAfterRemoval(server, 'hello')
    assert.equal((await run(data, 'scrub')).exitCode, 0)
  })
})

describe('a server with a faulty catalog', () => {
  it('recreates a damaged one, and still serves all published blobs', async () => {
    const damages: ((file: string) => Promise<void>)[] = [
      (file) => truncate(file, 5_000),
      (file) => writeFile(file, 'x'.repeat(20_000)),
    ]
    for (const damage of damages) {
      const data = newData()
      const server = await serve(data)
      const hello = await pull(server, 'hello')
      await server.stop()
      await damage(join(data, 'catalog.db'))
      const restarted = await serve(data)
      assert.equal((await requestV2(restarted, `hello/manifests/${hello.digest}`)).response.status, 200)
      for (const digest of hello.digests) {
        assert.equal((await requestV2(restarted, `hello/blobs/${digest}`)).response.status, 200)
      }
      assert.deepEqual(await pull(restarted, 'hello'), hello)
      assert.ok((await readdir(data)).some((name) => name.startsWith('catalog.db.damaged-')))
      await restarted.stop()
    }
  })

  it('serves known and new images while another process holds the lock', async () => {
    const data = newData()
    const first = await serve(data)
    const hello = await pull(first, 'hello')
    await first.stop()
    const holder = new Database(join(data, 'catalog.db'))
    holder.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM resolutions; COMMIT')
    const server = await serve(data)
    assert.deepEqual(await pull(server, 'hello'), hello)
    const third = await pull(server, 'third')
    holder.close()
    assert.deepEqual(await pull(server, 'third'), third)
    await server.stop()
    const last = await serve(data)
    assert.deepEqual(await pull(last, 'third'), third)
  })
})
