// Encodes attributes that are not valid in an image reference (`gtk+3`, `foo'`, `@angular/cli`, names with a dot): pieces
// between double underscores are a word of the table below for a character, `u` with the hexadecimal number of a Unicode
// character, or plain text. `gtk__plus__3` is `gtk+3`.

const characters: ReadonlyMap<string, string> = new Map([
  ['plus', '+'],
  ['prime', "'"],
  ['dot', '.'],
  ['at', '@'],
  ['slash', '/'],
  ['underscore', '_'],
  ['dash', '-'],
])
const wordOf: ReadonlyMap<string, string> = new Map(
  [...characters].map(([word, character]) => [character, word]),
)

/**
 * A component of a repository name in the distribution spec, without dots, which separate attributes here, and without
 * several dashes, which begin a version.
 */
const component = /^[a-z0-9]+(?:(?:_|__|-)[a-z0-9]+)*$/i
/** The tokens of an attribute: plain text and single characters. */
const tokens = /[a-z0-9]+(?:(?:_|-)[a-z0-9]+)*|./gisu
const plain = /^[a-z0-9]/i
const numbered = /^u([0-9a-f]{4,6})$/

/** The character of a piece; undefined for plain text. */
function characterOf(piece: string): string | undefined {
  const word = piece.toLowerCase()
  const named = characters.get(word)
  if (named !== undefined) return named
  const code = Number.parseInt(numbered.exec(word)?.[1] ?? '0', 16)
  // Neither NUL, which no attribute contains, nor a surrogate.
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined
  return String.fromCodePoint(code)
}

/**
 * Decodes a part of a name; undefined if it is not encoded. Words are case-insensitive; plain text keeps its case.
 */
export function decodeSpelling(part: string): string | undefined {
  const pieces = part.split('__')
  const decoded = pieces.map(characterOf)
  if (decoded.every((character) => character === undefined)) return undefined
  let text = ''
  for (const [index, piece] of pieces.entries()) {
    const character = decoded[index]
    // Between two pieces of plain text, the underscores are literal.
    const isBetween = index > 0 && character === undefined && decoded[index - 1] === undefined
    text += (isBetween ? '__' : '') + (character ?? piece)
  }
  return text
}

/**
 * Encodes an attribute as a part of an image's name, so that `decodeSpelling` returns it. An attribute that is valid in an
 * image reference in lower case is returned unchanged.
 * @param attribute must not be empty
 */
export function encodeSpelling(attribute: string): string {
  if (component.test(attribute)) return attribute
  const pieces = (attribute.match(tokens) ?? []).flatMap((token) => {
    if (!plain.test(token)) return [wordOf.get(token) ?? numberOf(token)]
    if (characterOf(token) === undefined) return [token]
    // If plain text equals a word, its first letter is encoded.
    return [numberOf(token), token.slice(1)]
  })
  return pieces.join('__')
}

const numberOf = (text: string): string => `u${(text.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`

/** A name's parts, each with its decoded spelling, if any: `[[name], [name, spelled]]`. */
export type NamePart = string | readonly [written: string, spelled: string]

/** The parts of a name of nested attributes. */
export const partsOfName = (name: string): NamePart[] =>
  name.split('.').map((part) => {
    const spelled = decodeSpelling(part)
    return spelled === undefined ? part : [part, spelled]
  })
