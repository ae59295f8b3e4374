import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import Database from 'better-sqlite3'
import { buildImage } from '../src/builds/builds.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import { readConfig } from '../src/config.ts'
import { hexOf } from '../src/image/digest.ts'
import { parseImageReference } from '../src/image/name.ts'
import { openLocalWorker } from './support/worker.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let nixLog: NixLog
let environment: Record<string, string>
const path = process.env['PATH']
before(async () => {
  workspace = await openWorkspace()
  nixLog = await openNixLog()
  process.env['PATH'] = `${nixLog.folder}:${path}`
  const data = join(workspace.folder, 'data')
  const tool = 'mkdir -p $out/bin; echo > $out/bin/tool; chmod +x $out/bin/tool'
  environment = {
    NIXERY_DATA: data,
    STORAGE_PATH: join(data, 'store'),
    NIXERY_PKGS_PATH: await workspace.packageSet(`
      one = run "a-one" "${tool}; ln -s /var/lib/app $out/var";
      two = run "b-two" "${tool}; mkdir -p $out/var/lib/x";
      zones = run "zones" "mkdir -p $out/share/zoneinfo; touch $out/share/zoneinfo/UTC";
      hidden = run "hidden" "mkdir -p $out/data; touch $out/data/.wh.keep";
    `),
  }
})
after(async () => {
  process.env['PATH'] = path
  await nixLog.close()
  await workspace.dispose()
})

/** Pulls with a new worker, and returns the image, its variables, the warnings and the number of packed layers. */
async function pull(name: string) {
  const config = readConfig(environment)
  const warnings: string[] = []
  const packed: BuildEvent[] = []
  const listener = (_: string, event: BuildEvent) => {
    if (event.type === 'warning') warnings.push(event.message)
    if (event.type === 'packed') packed.push(event)
  }
  const worker = await openLocalWorker(config, { listener, note: () => {}, warn: () => {} })
  try {
    const image = await buildImage(worker.builds, parseImageReference(name), { requestId: 'test' })
    const text = await readFile(join(config.STORAGE_PATH, 'layers', hexOf(image.config.digest)), 'utf8')
    const { config: run } = JSON.parse(text) as { config: { Env: string[] } }
    return { image, env: run.Env, warnings, packed: packed.length }
  } finally {
    await worker.close()
  }
}

const inCatalog = (statement: string) => {
  const database = new Database(join(environment['NIXERY_DATA'] ?? '', 'catalog.db'))
  try {
    assert.ok(database.prepare(statement).run().changes > 0)
  } finally {
    database.close()
  }
}

it('the additions of the tree of links do not depend on cached values, and need no store path', async () => {
  const first = await pull('one/two/zones')
  assert.ok(first.env.includes('TZDIR=/usr/share/zoneinfo'), first.env.join(' '))
  const withoutMissing = (warnings: readonly string[]) =>
    warnings.filter((warning) => !warning.startsWith('the package set has no'))
  const expected = withoutMissing(first.warnings)
  assert.equal(expected.length, 2)
  assert.match(expected[0] ?? '', /-a-one\/var is ignored: it is a dangling link, and \/var is a directory$/)
  assert.match(
    expected[1] ?? '',
    /^\/usr\/bin\/tool is in two packages: \S+-a-one\/bin\/tool is used, \S+-b-two/,
  )
  await nixLog.started()

  const states: [cached: string, forget: string | undefined, packed: number][] = [
    ['the image', undefined, 0],
    ['its layers', 'DELETE FROM images', 0],
    ['its members', "UPDATE layers SET facts = '[]' WHERE facts IS NOT NULL", 1],
  ]
  for (const [cached, forget, packed] of states) {
    if (forget !== undefined) inCatalog('DELETE FROM images')
    if (forget !== undefined && packed > 0) inCatalog(forget)
    const next = await pull('one/two/zones')
    assert.deepEqual(
      { ...next, warnings: withoutMissing(next.warnings) },
      { ...first, packed, warnings: expected },
      cached,
    )
    const started = (await nixLog.started()).filter((command) => !command.endsWith(' --version'))
    if (packed === 0) assert.deepEqual(started, [], cached)
  }
})

it('a file that no layer can contain is refused with its path', async () => {
  await assert.rejects(pull('hidden'), /an image cannot contain "\/nix\/store\/\S+-hidden\/data\/\.wh\.keep"/)
})
