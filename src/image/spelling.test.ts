import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseImageName } from './name.ts'
import { decodeSpelling, encodeSpelling } from './spelling.ts'

/** A component of a repository's name (distribution spec), without dots. */
const component = /^[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*$/

describe('spelling', () => {
  const rows: [attribute: string, spelled: string][] = [
    ['git', 'git'],
    ['iana-etc', 'iana-etc'],
    ['gtk+3', 'gtk__plus__3'],
    ['libsigc++', 'libsigc__plus__plus'],
    ["foldl'", 'foldl__prime'],
    ['python3.11', 'python3__dot__11'],
    ['@angular/cli', 'at__angular__slash__cli'],
    ['_private', 'underscore__private'],
    ['end_', 'end__underscore'],
    ['a___b', 'a__underscore__underscore__underscore__b'],
    ['a__b', 'a__b'],
    ['a b', 'a__u0020__b'],
    ['naïve', 'na__u00ef__ve'],
    ['😀', 'u1f600'],
    // Plain text that looks like a word.
    ['c+plus', 'c__plus__u0070__lus'],
    ['+u0041', 'plus__u0075__0041'],
  ]
  for (const [attribute, spelled] of rows) {
    it(`of ${attribute} is ${spelled}`, () => {
      assert.equal(encodeSpelling(attribute), spelled)
      if (spelled !== attribute) assert.equal(decodeSpelling(spelled), attribute)
    })
  }

  it('is undefined if nothing is spelled', () => {
    for (const part of ['git', 'a__b', 'ud800__x', 'u0000', 'u110000__x', 'u41__x', 'plush__x', '__x']) {
      assert.equal(decodeSpelling(part), undefined, part)
    }
    assert.equal(decodeSpelling('a__b__plus'), 'a__b+')
    assert.equal(decodeSpelling('a__PLUS__B'), 'a+B')
  })

  // Attributes are any text without NUL. Words and separators come up often.
  const piece = fc.constantFrom(
    'plus',
    'Dot',
    'at',
    'u0041',
    '__',
    '_',
    '-',
    '+',
    '.',
    "'",
    '/',
    'a',
    'Z',
    '9',
  )
  const attribute = fc
    .oneof(
      fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join('')),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    )
    .filter((text) => text.isWellFormed() && !text.includes('\0'))

  it('round-trips every attribute, through a client that only supports lower case', () => {
    fc.assert(
      fc.property(attribute, (text) => {
        const spelled = encodeSpelling(text)
        const sent = spelled.toLowerCase()
        assert.match(sent, component)
        assert.deepEqual(
          parseImageName(`x/${sent}`).packages.filter((name) => name !== 'x').length <= 1,
          true,
        )
        if (spelled === text) return
        assert.equal(decodeSpelling(spelled), text)
        assert.equal(lower(decodeSpelling(sent) ?? ''), lower(text))
      }),
      { numRuns: 2000 },
    )
  })

  it('differs for different attributes that must be spelled', () => {
    fc.assert(
      fc.property(attribute, attribute, (one, other) => {
        fc.pre(one !== other && encodeSpelling(one) !== one && encodeSpelling(other) !== other)
        assert.notEqual(encodeSpelling(one), encodeSpelling(other))
      }),
    )
  })
})

/** Like clients and the package set's lookup: only for ASCII. */
const lower = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
