import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { digester, digestOf, hexOf, parseDigest } from './digest.ts'
import { anyString } from '../text/testing.ts'

const hex = '0123456789abcdef'.repeat(4)

describe('parseDigest', () => {
  it('accepts a complete sha256 digest', () => {
    assert.equal(parseDigest(`sha256:${hex}`), `sha256:${hex}`)
    assert.equal(hexOf(parseDigest(`sha256:${hex}`)), hex)
  })

  const refused: [what: string, text: string][] = [
    ['nothing', ''],
    ['digits alone', hex],
    ['no digits', 'sha256:'],
    ['too few digits', `sha256:${hex.slice(1)}`],
    ['too many digits', `sha256:${hex}0`],
    ['capital digits', `sha256:${hex.toUpperCase()}`],
    ['a capital algorithm', `SHA256:${hex}`],
    ['other letters', `sha256:${hex.slice(1)}g`],
    ['another algorithm', `sha512:${hex}${hex}`],
    ['a line end', `sha256:${hex}\n`],
    ['a line before', `x\nsha256:${hex}`],
    ['a space', ` sha256:${hex}`],
    ['a path', `sha256:${'../'.repeat(21)}x`],
    ['digits of another script', `sha256:${'٠'.repeat(64)}`],
  ]
  for (const [what, text] of refused) {
    it(`refuses ${what}, and does not repeat it`, () => {
      assert.throws(() => parseDigest(text), {
        code: 'DIGEST_INVALID',
        message: 'a digest is "sha256:" followed by 64 lower-case hexadecimal digits',
      })
    })
  }
})

describe('digestOf', () => {
  const rows: [text: string, digits: string][] = [
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'], // FIPS 180-2, B.1
  ]
  for (const [text, digits] of rows) {
    it(`is sha256: of ${JSON.stringify(text)}`, () => {
      assert.equal(digestOf(text), `sha256:${digits}`)
      assert.equal(digestOf(Buffer.from(text)), `sha256:${digits}`)
    })
  }

  it('is a digest that parses, of text as of its UTF-8', () => {
    fc.assert(
      fc.property(anyString(), (text) => {
        assert.equal(parseDigest(digestOf(text)), digestOf(Buffer.from(text)))
      }),
    )
  })
})

describe('digester', () => {
  it('returns the digest of the whole, however it is split', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 8 }), (pieces) => {
        const pass = digester()
        for (const piece of pieces) pass.update(piece)
        const whole = createHash('sha256').update(Buffer.concat(pieces)).digest('hex')
        assert.equal(pass.digest(), `sha256:${whole}`)
      }),
    )
  })
})
