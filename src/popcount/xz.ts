import { execa } from 'execa'
import { NixeryError } from '../errors.ts'

const magic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])

/** Whether this begins as an xz file does. */
export const isXz = (bytes: Buffer): boolean => bytes.subarray(0, magic.length).equals(magic)

// The lists of whole channels have some ten million characters.
const mostCharacters = 512 * 1024 * 1024

/**
 * Decompresses text with the program `xz`, since Node has no decoder for it.
 * @throws SETUP_FAILED without the program, SOURCE_INVALID for what is damaged or far too large, the signal's reason
 */
export async function decompressXz(bytes: Buffer, signal: AbortSignal | undefined): Promise<string> {
  const result = await execa('xz', ['--decompress', '--stdout', '--memlimit-decompress=1GiB'], {
    input: bytes,
    maxBuffer: mostCharacters,
    timeout: 300_000,
    reject: false,
    forceKillAfterDelay: 2_000,
    ...(signal && { cancelSignal: signal }),
  })
  if (!result.failed) return result.stdout
  signal?.throwIfAborted()
  if (result.code === 'ENOENT') {
    throw new NixeryError(
      'SETUP_FAILED',
      'reading store-paths.xz needs the program xz, which is not installed',
      {
        cause: result,
        hint: 'on Debian: apt-get install xz-utils; or give a list that is decompressed with --store-paths',
      },
    )
  }
  const reason = result.isMaxBuffer ? 'it is far too large' : result.stderr.trim() || result.shortMessage
  throw new NixeryError('SOURCE_INVALID', `the list of store paths cannot be decompressed: ${reason}`, {
    cause: result,
  })
}
