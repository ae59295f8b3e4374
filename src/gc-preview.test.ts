import assert from 'node:assert/strict'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, describe, it } from 'node:test'
import { readConfig } from './config.ts'
import { previewCleanup, type PreviewOptions } from './gc-preview.ts'
import { keyOf } from './image/canonical.ts'
import { digestOf } from './image/digest.ts'
import { openState } from './state.ts'

describe('a preview of a garbage collection', () => {
  let folder: string
  let options: PreviewOptions
  const old = 1_000_000_000
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-preview-'))
    const environment = { PATH: process.env['PATH'], HOME: folder, NIXERY_DATA: folder, NIXERY_KEEP: '30' }
    options = { environment, listed: 2, memory: 1e9, timeout: 600_000, signal: new AbortController().signal }
    const state = await openState(readConfig(environment), { warn: assert.fail })
    for (const name of ['a', 'b', 'c']) {
      const part = { digest: digestOf(name), size: 1 }
      const image = { manifests: { docker: part, oci: part }, config: part, layers: [] }
      await state.catalog.rememberImage(keyOf('image', 0, name), image, old)
    }
    await state.close()
  })
  after(() => rm(folder, { recursive: true }))

  it('counts all images, lists the first ones, and removes none', async () => {
    for (let time = 0; time < 2; time += 1) {
      const { imagesRemoved, images } = await previewCleanup(options)
      assert.deepEqual([imagesRemoved, images.length], [3, 2])
    }
  })

  it('runs the program from a folder whose name has other characters', async () => {
    const copy = join(folder, 'a folder, 100%')
    await cp(import.meta.dirname, join(copy, 'src'), { recursive: true })
    for (const name of ['package.json', 'node_modules']) {
      await symlink(join(import.meta.dirname, '..', name), join(copy, name))
    }
    const module = pathToFileURL(join(copy, 'src', 'gc-preview.ts')).href
    const { previewCleanup: inCopy } = (await import(module)) as { previewCleanup: typeof previewCleanup }
    assert.equal((await inCopy(options)).imagesRemoved, 3)
  })

  it('fails with the reason when it needs too much memory or time, or the settings are wrong', async () => {
    const reasons = [
      [{ memory: 1 }, /needs more than 0 MB of memory/],
      [{ timeout: 1 }, /takes longer than/],
      [{ environment: { ...options.environment, NIXERY_KEEP: 'x' } }, /NIXERY_KEEP/],
      [{ signal: AbortSignal.abort() }, /canceled/],
    ] as const
    for (const [some, reason] of reasons) {
      await assert.rejects(previewCleanup({ ...options, ...some }), reason)
    }
  })
})
