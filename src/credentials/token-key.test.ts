import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { keepTokenKey, readTokenKey } from './token-key.ts'

describe('the key of tokens', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-key-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('is created once, even by processes that start together, and is readable only by its owner', async () => {
    const file = join(folder, 'data', 'token.key')
    const keys = await Promise.all(Array.from({ length: 5 }, () => keepTokenKey(file)))
    assert.equal(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size, 1)
    assert.ok((keys[0]?.length ?? 0) >= 32)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.deepEqual(await keepTokenKey(file), keys[0])
    assert.deepEqual(await readdir(join(folder, 'data')), ['token.key'])
  })

  it('is rejected if it is missing or too short', async () => {
    const short = join(folder, 'short')
    await writeFile(short, 'secret')
    await assert.rejects(readTokenKey(short), { code: 'CONFIG_INVALID', message: /has 6 bytes/ })
    await assert.rejects(readTokenKey(join(folder, 'none')), { message: /cannot be read: ENOENT/ })
    await writeFile(short, 'x'.repeat(32))
    assert.equal((await readTokenKey(short)).length, 32)
  })
})
