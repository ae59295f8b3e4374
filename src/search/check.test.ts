import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { isSound } from './check.ts'

it('a file is damaged if it is not a database, and cannot be checked if it is missing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-check-'))
  try {
    await writeFile(join(folder, 'text'), 'x'.repeat(10_000))
    assert.equal(await isSound(join(folder, 'text')), false)
    await assert.rejects(isSound(join(folder, 'missing')), /unable to open|directory does not exist/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
