import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { keepSecretFile } from '../fs/secret-file.ts'

// Bytes, as HS256 requires (RFC 7518 §3.2).
const least = 32

/**
 * Reads the key that signs tokens from the operator's file.
 * @throws CONFIG_INVALID if it cannot be read or is too short
 */
export async function readTokenKey(file: string): Promise<Uint8Array> {
  const key = await readFile(file).catch((cause: unknown) => {
    const reason = systemErrorCode(cause) ?? 'unknown'
    throw new NixeryError(
      'CONFIG_INVALID',
      `the file of NIXERY_TOKEN_KEY, ${file}, cannot be read: ${reason}`,
      {
        cause,
      },
    )
  })
  if (key.length >= least) return key
  throw new NixeryError(
    'CONFIG_INVALID',
    `the file of NIXERY_TOKEN_KEY, ${file}, has ${key.length} bytes, but a key needs at least ${least}`,
    { hint: 'create one with: openssl rand -base64 48' },
  )
}

/**
 * Reads the key from a file, which is created if it is missing, readable only by its owner. If several processes start
 * together, one creates it.
 */
export async function keepTokenKey(file: string): Promise<Uint8Array> {
  return checked(await keepSecretFile(file, () => randomBytes(48).toString('base64')), file)
}

function checked(key: Uint8Array, file: string): Uint8Array {
  if (key.length >= least) return key
  throw new NixeryError(
    'CONFIG_INVALID',
    `${file} has ${key.length} bytes, but a key needs at least ${least}`,
    {
      hint: 'remove it: the server creates a new one, and clients must log in again',
    },
  )
}
