import { createPublicKey, verify, type KeyObject } from 'node:crypto'
import type { Narinfo } from './narinfo.ts'
import { nix32OfSri } from './nix32.ts'

/** Public keys by their names. */
export type TrustedKeys = ReadonlyMap<string, KeyObject>

/** The DER of an ed25519 public key without its 32 bytes (RFC 8410). */
const derPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/**
 * Reads keys as `trusted-public-keys` has them: `name:<base64 of 32 bytes>`.
 * @returns the keys, and the texts that are not keys
 */
export function parseTrustedKeys(texts: readonly string[]): { keys: TrustedKeys; invalid: string[] } {
  const keys = new Map<string, KeyObject>()
  const invalid: string[] = []
  for (const text of texts) {
    const colon = text.indexOf(':')
    const bytes = Buffer.from(text.slice(colon + 1), 'base64')
    if (colon < 1 || bytes.length !== 32) invalid.push(text)
    else {
      const key = Buffer.concat([derPrefix, bytes])
      keys.set(text.slice(0, colon), createPublicKey({ key, format: 'der', type: 'spki' }))
    }
  }
  return { keys, invalid }
}

type Signed = Pick<Narinfo, 'storePath' | 'narHash' | 'narSize' | 'references'>

/** The signed text (libstore/path-info.cc): the hash in Nix's base 32, and full references, sorted and unique. */
export const fingerprintOf = ({ storePath, narHash, narSize, references }: Signed): string =>
  `1;${storePath};${nix32OfSri(narHash)};${narSize};${references.join(',')}`

/** Whether a trusted key verifies one of the signatures that have its name. */
export function isSigned(narinfo: Narinfo, keys: TrustedKeys): boolean {
  const data = Buffer.from(fingerprintOf(narinfo))
  return narinfo.signatures.some(({ keyName, bytes }) => {
    const key = keys.get(keyName)
    return key !== undefined && verify(null, data, key, bytes)
  })
}
