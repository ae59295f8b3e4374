import assert from 'node:assert/strict'
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { UnusableIndex } from './set-index.ts'
import { packIndex, unpackIndex } from './transfer.ts'

describe('a search index on its way to other processes', () => {
  const text = 'an index of many packages '.repeat(100_000)
  const { signal } = new AbortController()
  let folder: string
  const at = (name: string) => join(folder, name)
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-transfer-'))
    await writeFile(at('index'), text)
  })
  after(() => rm(folder, { recursive: true }))

  it('is smaller, and the same afterwards', async () => {
    const packed = await packIndex(at('index'), at('packed'), signal)
    const bytes = await readFile(at('packed'))
    assert.deepEqual(packed, { digest: digestOf(bytes), size: bytes.length })
    assert.ok(packed.size < text.length / 10)
    assert.equal(await unpackIndex(createReadStream(at('packed')), packed, at('same'), signal), true)
    assert.equal(await readFile(at('same'), 'utf8'), text)
  })

  it('is not used if its bytes are others, too few or too many', async () => {
    const packed = await packIndex(at('index'), at('packed'), signal)
    const bytes = await readFile(at('packed'))
    const changed = Buffer.from(bytes)
    changed[9] = (changed[9] ?? 0) ^ 1
    for (const wrong of [changed, bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, bytes])]) {
      assert.equal(await unpackIndex(Readable.from([wrong]), packed, at('wrong'), signal), false)
    }
    await truncate(at('packed'), 0)
    assert.equal(await unpackIndex(createReadStream(at('packed')), packed, at('wrong'), signal), false)
    assert.equal(existsSync(at('wrong')), false)
    assert.deepEqual((await readdir(folder)).sort(), ['index', 'packed', 'same'])
  })

  it('is unusable if what was stored is no complete compressed file', async () => {
    await packIndex(at('index'), at('packed'), signal)
    const bytes = await readFile(at('packed'))
    for (const wrong of [Buffer.from('something else'), bytes.subarray(0, -9)]) {
      const stored = { digest: digestOf(wrong), size: wrong.length }
      const unpacked = unpackIndex(Readable.from([wrong]), stored, at('wrong'), signal)
      await assert.rejects(unpacked, UnusableIndex)
    }
    await rm(at('wrong'), { force: true })
  })

  it('reports failures of the store', async () => {
    const failing = new Readable({ read: () => failing.destroy(new Error('the store is away')) })
    const packed = { digest: digestOf(''), size: 9 }
    await assert.rejects(unpackIndex(failing, packed, at('wrong'), signal), /the store is away/)
    const aborted = AbortSignal.abort(new Error('too late'))
    await assert.rejects(packIndex(at('index'), at('late'), aborted))
  })
})
