import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { execa } from 'execa'
import { hasCode } from '../errors.ts'
import { decompressXz, isXz } from './xz.ts'

const compress = async (command: string): Promise<Buffer> => {
  const { stdout } = await execa('sh', ['-c', `${command} | xz -1`], { encoding: 'buffer' })
  return Buffer.from(stdout)
}

describe('decompressing xz', () => {
  it('returns the decompressed text', async () => {
    const bytes = await compress("printf '/nix/store/\\303\\251\\n\\n'")
    assert.equal(isXz(bytes), true)
    assert.equal(await decompressXz(bytes, undefined), '/nix/store/é\n\n')
  })

  it('aborts on too large output, without using memory for it', async () => {
    const bytes = await compress('head -c 200000000 /dev/zero')
    assert.ok(bytes.length < 200_000)
    const before = process.resourceUsage().maxRSS
    await assert.rejects(decompressXz(bytes, undefined), (error) => {
      assert.ok(hasCode(error, 'SOURCE_INVALID'))
      assert.match(error.message, /too large/)
      return true
    })
    const grown = process.resourceUsage().maxRSS - before
    assert.ok(grown < 200_000, `${grown} kB`)
  })

  it('refuses damaged data', async () => {
    const bytes = await compress('echo text')
    bytes.fill(0, 20)
    await assert.rejects(decompressXz(bytes, undefined), (error) => hasCode(error, 'SOURCE_INVALID'))
  })
})
