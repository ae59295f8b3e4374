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
  it('removes what an earlier process left unfinished', async () => {
    const here = join(directory, 'left')
    await mkdir(join(here, 'staging'), { recursive: true })
    await writeFile(join(here, 'staging', 'old'), 'x')
    await writeFile(join(here, 'staging', 'in use'), 'x')
    const longAgo = new Date(Date.now() - 2 * 3_600_000)
    await utimes(join(here, 'staging', 'old'), longAgo, longAgo)
    await openFileStore(here)
    assert.deepEqual(await readdir(join(here, 'staging')), ['in use'])
  })

  it('says so when its folder cannot be made', async () => {
    await writeFile(join(directory, 'file'), '')
    await assert.rejects(openFileStore(join(directory, 'file', 'store')), (error) =>
      hasCode(error, 'STORE_UNAVAILABLE'),
    )
  })
})
