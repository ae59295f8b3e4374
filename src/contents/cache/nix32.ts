/** Nix's base 32: no e, o, t and u (libutil/base-nix-32.cc). */
const alphabet = '0123456789abcdfghijklmnpqrsvwxyz'
const values: ReadonlyMap<string, number> = new Map(Array.from(alphabet, (letter, index) => [letter, index]))

const lengthOf = (bytes: number): number => Math.ceil((bytes * 8) / 5)

/** The bytes are a little-endian number; its highest five bits are the first character. */
export function encodeNix32(bytes: Uint8Array): string {
  let text = ''
  for (let at = lengthOf(bytes.length) - 1; at >= 0; at--) {
    const bit = at * 5
    const index = bit >> 3
    const pair = (bytes[index] ?? 0) | ((bytes[index + 1] ?? 0) << 8)
    text += alphabet.charAt((pair >> (bit & 7)) & 31)
  }
  return text
}

/** @returns undefined if the text does not encode exactly `size` bytes */
export function decodeNix32(text: string, size: number): Buffer | undefined {
  if (text.length !== lengthOf(size)) return undefined
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < text.length; at++) {
    const value = values.get(text.charAt(text.length - 1 - at))
    if (value === undefined) return undefined
    const index = (at * 5) >> 3
    const shifted = value << ((at * 5) & 7)
    if (index < size) bytes[index] = (bytes[index] ?? 0) | (shifted & 255)
    if (shifted >> 8 === 0) continue
    if (index + 1 >= size) return undefined
    bytes[index + 1] = (bytes[index + 1] ?? 0) | (shifted >> 8)
  }
  return bytes
}

const hashSize = 32

/**
 * Converts a hash of a narinfo to `sha256-<base64>`: `sha256:` with 52 characters of Nix's base 32 or 64 hex digits, or
 * `sha256-` with base 64. Undefined for any other text.
 */
export function parseSha256(text: string): string | undefined {
  const { kind, value = '' } = /^sha256(?<kind>[:-])(?<value>[0-9A-Za-z+/=]{1,64})$/.exec(text)?.groups ?? {}
  if (kind === '-') {
    const bytes = Buffer.from(value, 'base64')
    return bytes.length === hashSize && bytes.toString('base64') === value ? sriOf(bytes) : undefined
  }
  if (kind === undefined) return undefined
  const bytes = /^[0-9a-f]{64}$/.test(value) ? Buffer.from(value, 'hex') : decodeNix32(value, hashSize)
  return bytes && sriOf(bytes)
}

/** The bytes of a sha256 hash as `sha256-<base64>`. */
export const sriOf = (hash: Uint8Array): string => `sha256-${Buffer.from(hash).toString('base64')}`

/** `sha256-<base64>` as `sha256:<Nix's base 32>`, the format in signatures. */
export const nix32OfSri = (sri: string): string =>
  `sha256:${encodeNix32(Buffer.from(sri.slice('sha256-'.length), 'base64'))}`
