// Attributes that no image reference can hold (`gtk+3`, `foo'`, `@angular/cli`, one with a dot) are written with words
// for their characters: pieces between double underscores, each a word of the table below, `u` with the hexadecimal number
// of a Unicode character, or plain text. `gtk__plus__3` is `gtk+3`.

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

/** A component of a repository's name in the distribution spec, but for dots, which separate attributes here. */
const component = /^[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*$/i
/** Plain text and single characters, of which an attribute consists. */
const tokens = /[a-z0-9]+(?:(?:_|-+)[a-z0-9]+)*|./gisu
const plain = /^[a-z0-9]/i
const numbered = /^u([0-9a-f]{4,6})$/

/** The character that a piece stands for; undefined for plain text. */
function characterOf(piece: string): string | undefined {
  const word = piece.toLowerCase()
  const named = characters.get(word)
  if (named !== undefined) return named
  const code = Number.parseInt(numbered.exec(word)?.[1] ?? '0', 16)
  // Neither NUL, which no attribute has, nor half a character.
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined
  return String.fromCodePoint(code)
}

/**
 * The attribute that is spelled by a part of a name, if it spells one: without regard to case but in the plain text,
 * which keeps its own.
 */
export function decodeSpelling(part: string): string | undefined {
  const pieces = part.split('__')
  const decoded = pieces.map(characterOf)
  if (decoded.every((character) => character === undefined)) return undefined
  let text = ''
  for (const [index, piece] of pieces.entries()) {
    const character = decoded[index]
    // Between two pieces of plain text, the underscores are themselves.
    const isBetween = index > 0 && character === undefined && decoded[index - 1] === undefined
    text += (isBetween ? '__' : '') + (character ?? piece)
  }
  return text
}

/**
 * An attribute as a part of an image's name: itself if an image reference can hold it in lower case, else spelled, so that
 * `decodeSpelling` gives it back.
 * @param attribute not empty
 */
export function encodeSpelling(attribute: string): string {
  if (component.test(attribute)) return attribute
  const pieces = (attribute.match(tokens) ?? []).flatMap((token) => {
    if (!plain.test(token)) return [wordOf.get(token) ?? numberOf(token)]
    if (characterOf(token) === undefined) return [token]
    // Plain text that reads as a word: its first letter is spelled.
    return [numberOf(token), token.slice(1)]
  })
  return pieces.join('__')
}

const numberOf = (text: string): string => `u${(text.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`

/** A name's parts, with what those of them spell that spell something: `[[name], [name, spelled]]`. */
export type Part = string | readonly [written: string, spelled: string]

/** The parts of a name of nested attributes. */
export const partsOfName = (name: string): Part[] =>
  name.split('.').map((part) => {
    const spelled = decodeSpelling(part)
    return spelled === undefined ? part : [part, spelled]
  })
