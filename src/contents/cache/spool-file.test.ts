import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { writeSpoolFile } from './spool-file.ts'

let folder: string
let count = 0
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'nixery-spool-'))
})
after(() => rmSync(folder, { recursive: true }))
const newFile = () => join(folder, `${(count += 1)}`)

async function* all(pieces: readonly Uint8Array[]) {
  for (const piece of pieces) yield piece
}
/** Varying bytes in separate memory. */
function bytes(size: number, seed = 1): Uint8Array {
  const made = new Uint8Array(size)
  for (let at = 0; at < size; at++) made[at] = (at * 31 + seed * 7) % 251
  return made
}

describe('a file of the spool', () => {
  it('contains all bytes, for any chunk sizes', async () => {
    const sizes = fc.array(fc.oneof(fc.nat(2000), fc.constantFrom(65_536, 262_144, 300_000, 600_001)), {
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(sizes, async (lengths) => {
        const pieces = lengths.map((length, index) => bytes(length, index))
        const whole = Buffer.concat(pieces)
        const file = newFile()
        await writeSpoolFile(file, all(pieces))
        assert.ok(readFileSync(file).equals(whole))
      }),
      { numRuns: 10 },
    )
  })

  it('contains the bytes of many concurrent writers', async () => {
    const files = Array.from({ length: 20 }, newFile)
    await Promise.all(
      files.map((file, index) => writeSpoolFile(file, all([bytes(400_000, index), bytes(9)]))),
    )
    for (const [index, file] of files.entries())
      assert.ok(readFileSync(file).equals(Buffer.concat([bytes(400_000, index), bytes(9)])))
  })

  it('frees the memory of a chunk, but not of one that shares it', async () => {
    const [own, shared] = [bytes(1000), bytes(1000)]
    const file = newFile()
    await writeSpoolFile(file, all([own, shared.subarray(10, 20)]))
    assert.deepEqual([own.byteLength, shared.byteLength], [0, 1000])
    assert.ok(readFileSync(file).equals(Buffer.concat([bytes(1000), bytes(1000).subarray(10, 20)])))
  })

  it('fails like its chunks, and if it already exists', async () => {
    async function* broken() {
      yield bytes(700_000)
      throw new Error('cut off')
    }
    const file = newFile()
    await assert.rejects(writeSpoolFile(file, broken()), /cut off/)
    await assert.rejects(writeSpoolFile(file, all([bytes(1)])), { code: 'EEXIST', syscall: 'open' })
  })
})
