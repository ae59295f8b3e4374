import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { describeBlobStore } from './conformance.ts'
import { openFileStore } from './fs.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-store-'))
})
after(() => rm(directory, { recursive: true }))

describeBlobStore('the file store', async () => openFileStore(await mkdtemp(join(directory, 'store-'))))

describe('the file store', () => {
  it('removes unfinished files of earlier processes', async () => {
    const folder = join(directory, 'left')
    await mkdir(join(folder, 'staging'), { recursive: true })
    await writeFile(join(folder, 'staging', 'old'), 'x')
    await writeFile(join(folder, 'staging', 'in use'), 'x')
    const longAgo = new Date(Date.now() - 2 * 3_600_000)
    await utimes(join(folder, 'staging', 'old'), longAgo, longAgo)
    await openFileStore(folder)
    assert.deepEqual(await readdir(join(folder, 'staging')), ['in use'])
  })

  it('fails with STORE_UNAVAILABLE when its folder cannot be created', async () => {
    await writeFile(join(directory, 'file'), '')
    await assert.rejects(openFileStore(join(directory, 'file', 'store')), (error) =>
      hasCode(error, 'STORE_UNAVAILABLE'),
    )
  })
})
