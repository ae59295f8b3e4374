import { createPrivateKey, createPublicKey, hash, randomBytes, sign, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Signature } from '../contents/cache/narinfo.ts'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { keepSecretFile } from '../fs/secret-file.ts'

/** A key that signs narinfos, in Nix's format. */
export type SigningKey = {
  readonly name: string
  /** `name:base64`, as `trusted-public-keys` has it. */
  readonly publicText: string
  /** Signs the fingerprint of a narinfo. */
  sign(fingerprint: string): Signature
}

const seedSize = 32
/** The DER of an ed25519 private key without its 32 bytes (RFC 8410). */
const derPrefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const privateKeyOf = (seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([derPrefix, seed]), format: 'der', type: 'pkcs8' })
const publicBytesOf = (privateKey: KeyObject): Buffer =>
  createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-seedSize)

/**
 * Parses a secret key as `nix key generate-secret` and `nix-store --generate-binary-cache-key` write it: a name, a colon,
 * and 64 bytes in base 64, of which the last 32 are the public key.
 */
function parseSigningKey(text: string): SigningKey | undefined {
  const { name, value = '' } = /^(?<name>[^\s:]+):(?<value>[A-Za-z0-9+/=]+)\s*$/.exec(text)?.groups ?? {}
  const bytes = Buffer.from(value, 'base64')
  if (name === undefined || bytes.length !== 2 * seedSize) return undefined
  const privateKey = privateKeyOf(bytes.subarray(0, seedSize))
  const publicBytes = publicBytesOf(privateKey)
  if (!publicBytes.equals(bytes.subarray(seedSize))) return undefined
  return {
    name,
    publicText: `${name}:${publicBytes.toString('base64')}`,
    sign: (fingerprint) => ({ keyName: name, bytes: sign(null, Buffer.from(fingerprint), privateKey) }),
  }
}

/** Creates a secret key. Its name contains a hash of the key, so that no two keys have the same name. */
function newSigningKey(): string {
  const seed = randomBytes(seedSize)
  const publicBytes = publicBytesOf(privateKeyOf(seed))
  const secret = Buffer.concat([seed, publicBytes]).toString('base64')
  return `nixery-${hash('sha256', publicBytes).slice(0, 8)}:${secret}\n`
}

/**
 * Reads the key from a file, which is created if it is missing, unless the operator has named it.
 * @param named whether the operator has named the file
 * @throws CONFIG_INVALID if it cannot be read or is not a key
 */
export async function openSigningKey(file: string, named: boolean): Promise<SigningKey> {
  const text = await (named ? readFile(file) : keepSecretFile(file, newSigningKey)).catch(
    (cause: unknown) => {
      const reason = systemErrorCode(cause) ?? 'unknown'
      throw new NixeryError(
        'CONFIG_INVALID',
        `the key of the shared cache, ${file}, cannot be read: ${reason}`,
        {
          cause,
          hint: howToMake,
        },
      )
    },
  )
  const key = parseSigningKey(text.toString('latin1'))
  if (key) return key
  throw new NixeryError('CONFIG_INVALID', `${file} is not a secret key in Nix's format`, { hint: howToMake })
}

const howToMake = 'make one with: nix-store --generate-binary-cache-key NAME FILE FILE.public'
