import fc from 'fast-check'

const surrogates = { first: 0xd800, count: 0x800 }
const characters = 0x110000 - surrogates.count

const character = fc.nat(characters - 1).map(
  (index) => String.fromCodePoint(index < surrogates.first ? index : index + surrogates.count),
  (text) => {
    const point = typeof text === 'string' ? text.codePointAt(0) : undefined
    if (point === undefined || String.fromCodePoint(point) !== text) throw new Error('not a character')
    return point < surrogates.first ? point : point - surrogates.count
  },
)

/**
 * Strings of any Unicode characters. fast-check's unit `binary` generates the same, but takes seconds to build a table.
 */
export const anyString = (length: { readonly minLength?: number; readonly maxLength?: number } = {}) =>
  fc.string({ unit: character, ...length })
