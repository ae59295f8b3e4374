import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeNix32, encodeNix32, nix32OfSri, parseSha256 } from './nix32.ts'

const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const emptyNix32 = '0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73'
const emptySri = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

describe('Nix’s base 32', () => {
  it('is as Nix writes it', () => {
    assert.equal(encodeNix32(Buffer.from(empty, 'hex')), emptyNix32)
    assert.equal(nix32OfSri(emptySri), `sha256:${emptyNix32}`)
  })

  it('round-trips', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        assert.deepEqual(decodeNix32(encodeNix32(bytes), bytes.length), Buffer.from(bytes))
      }),
    )
  })

  it('has one text for each value', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-z]{52}$/), (text) => {
        const bytes = decodeNix32(text, 32)
        if (bytes) assert.equal(encodeNix32(bytes), text)
      }),
    )
    // Bits beyond the end, invalid letters, other lengths.
    for (const text of [`2${emptyNix32.slice(1)}`, `e${emptyNix32.slice(1)}`, emptyNix32.slice(1), ''])
      assert.equal(decodeNix32(text, 32), undefined, text)
  })
})

describe('parseSha256', () => {
  it('accepts only the formats of narinfos', () => {
    const forms = [`sha256:${emptyNix32}`, `sha256:${empty}`, emptySri]
    for (const form of forms) assert.equal(parseSha256(form), emptySri, form)
    const others = ['', emptyNix32, `sha1:${emptyNix32}`, `sha256:${empty.toUpperCase()}`, `${emptySri}=`]
    for (const other of others) assert.equal(parseSha256(other), undefined, other)
  })
})
