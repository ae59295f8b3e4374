import { byText, isStorePath, type StorePath } from '../../image/store-path.ts'
import { nix32OfSri, parseSha256 } from './nix32.ts'

/** A binary cache's facts about a store path. Only signed fields can be trusted; see `signature.ts`. */
export type Narinfo = {
  readonly storePath: StorePath
  /** `sha256-<base64>` of the NAR. */
  readonly narHash: string
  /** Bytes of the NAR. */
  readonly narSize: number
  /** Sorted, each once; may contain the path itself. */
  readonly references: readonly StorePath[]
  readonly signatures: readonly Signature[]
  /**
   * The location of the file with the NAR: a URL, or a path relative to the cache's URL. Not signed, like all following
   * fields.
   */
  readonly url: string
  /** Defaults to `bzip2`, as in Nix. */
  readonly compression: string
  /** `sha256-<base64>` of the compressed file. */
  readonly fileHash: string | undefined
  /** Bytes of the compressed file. */
  readonly fileSize: number | undefined
  /** Set if the path is content-addressed. */
  readonly contentAddress: string | undefined
}

export type Signature = { readonly keyName: string; readonly bytes: Buffer }

/** The maximum size of a narinfo in bytes. */
export const largestNarinfo = 1024 * 1024
const mostReferences = 10_000
const mostSignatures = 32
const longestUrl = 4096

const fields = new Set([
  'StorePath',
  'URL',
  'Compression',
  'FileHash',
  'FileSize',
  'NarHash',
  'NarSize',
  'References',
  'CA',
])

/**
 * Parses a narinfo (libstore/nar-info.cc): lines `Name: value`, each ended by a line feed. Stricter than Nix: any field
 * that appears twice is refused, except signatures. `References` may be missing (nix-serve omits it if there are none).
 * Never throws.
 * @returns the problem, in words, if it is not a narinfo
 */
export function parseNarinfo(text: string): Narinfo | { readonly invalid: string } {
  if (!text.endsWith('\n')) return { invalid: 'its last line has no line end' }
  if (text.length > largestNarinfo) return { invalid: 'it is too large' }
  const values = new Map<string, string>()
  const signatures: Signature[] = []
  for (const line of text.slice(0, -1).split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 1) return { invalid: 'a line has no name' }
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).trim()
    if (name === 'Sig') {
      const signature = parseSignature(value)
      if (signature && signatures.length < mostSignatures) signatures.push(signature)
    }
    if (!fields.has(name)) continue
    if (values.has(name)) return { invalid: `${name} appears twice` }
    values.set(name, value)
  }
  return narinfoOf(values, signatures)
}

function narinfoOf(
  values: ReadonlyMap<string, string>,
  signatures: readonly Signature[],
): Narinfo | { readonly invalid: string } {
  const value = (name: string): string => values.get(name) ?? ''
  const optional = (name: string): string | undefined => (value(name) === '' ? undefined : value(name))
  const [storePath, url, fileHashText] = [value('StorePath'), value('URL'), optional('FileHash')]
  if (!isStorePath(storePath)) return { invalid: 'StorePath is not a path of /nix/store' }
  if (url === '' || url.length > longestUrl || /[\s\0]/.test(url)) return { invalid: 'URL is not valid' }
  const narHash = parseSha256(value('NarHash'))
  if (narHash === undefined) return { invalid: 'NarHash is not a sha256 hash' }
  const narSize = parseSize(value('NarSize'))
  if (narSize === undefined) return { invalid: 'NarSize is not a size' }
  const fileHash = fileHashText === undefined ? undefined : parseSha256(fileHashText)
  if (fileHashText !== undefined && fileHash === undefined)
    return { invalid: 'FileHash is not a sha256 hash' }
  const sizeText = optional('FileSize')
  const fileSize = sizeText === undefined ? undefined : parseSize(sizeText)
  if (sizeText !== undefined && fileSize === undefined) return { invalid: 'FileSize is not a size' }
  const names = value('References')
    .split(' ')
    .filter((name) => name !== '')
  if (names.length > mostReferences) return { invalid: 'it has too many references' }
  const references = [...new Set(names.map((name) => `/nix/store/${name}`))].sort(byText)
  if (!areStorePaths(references)) return { invalid: 'a reference is not the name of a store path' }
  return {
    storePath,
    narHash,
    narSize,
    references,
    signatures,
    url,
    compression: optional('Compression') ?? 'bzip2',
    fileHash,
    fileSize,
    contentAddress: optional('CA'),
  }
}

/** Writes a narinfo as Nix does. Its signatures must be of these facts. */
export function formatNarinfo(narinfo: Omit<Narinfo, 'contentAddress'>): string {
  const { storePath, url, compression, fileHash, fileSize, narHash, narSize, references, signatures } =
    narinfo
  return [
    `StorePath: ${storePath}`,
    `URL: ${url}`,
    `Compression: ${compression}`,
    ...(fileHash === undefined ? [] : [`FileHash: ${nix32OfSri(fileHash)}`]),
    ...(fileSize === undefined ? [] : [`FileSize: ${fileSize}`]),
    `NarHash: ${nix32OfSri(narHash)}`,
    `NarSize: ${narSize}`,
    `References: ${references.map((path) => path.slice('/nix/store/'.length)).join(' ')}`,
    ...signatures.map(({ keyName, bytes }) => `Sig: ${keyName}:${bytes.toString('base64')}`),
    '',
  ].join('\n')
}

const areStorePaths = (paths: readonly string[]): paths is readonly StorePath[] => paths.every(isStorePath)

/** A count of bytes above 0 that a number can hold exactly. */
function parseSize(text: string): number | undefined {
  const size = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : NaN
  return Number.isSafeInteger(size) ? size : undefined
}

/** `keyname:<base64 of 64 bytes>`; anything else is ignored. */
function parseSignature(text: string): Signature | undefined {
  const colon = text.indexOf(':')
  const bytes = Buffer.from(text.slice(colon + 1), 'base64')
  return colon > 0 && bytes.length === 64 ? { keyName: text.slice(0, colon), bytes } : undefined
}
