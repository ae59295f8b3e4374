import { execa } from 'execa'
import { NixeryError } from '../errors.ts'

const magic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])

/** Whether the bytes begin like an xz file. */
export const isXz = (bytes: Buffer): boolean => bytes.subarray(0, magic.length).equals(magic)

// The lists of whole channels have about ten million bytes. A file of a hundred kilobytes can expand to gigabytes.
const mostBytes = 64 * 1024 * 1024

/**
 * Decompresses text with the program `xz`, since Node has no decoder for it.
 * @throws SETUP_FAILED without the program, SOURCE_INVALID for damaged or too large data, the signal's reason
 */
export async function decompressXz(bytes: Buffer, signal: AbortSignal | undefined): Promise<string> {
  const running = execa('xz', ['--decompress', '--stdout', '--memlimit-decompress=128MiB'], {
    input: bytes,
    buffer: { stdout: false }, // otherwise execa would copy the output, escaped, into its error
    timeout: 300_000,
    reject: false,
    forceKillAfterDelay: 2_000,
    ...(signal && { cancelSignal: signal }),
  })
  const chunks: Buffer[] = []
  let length = 0
  running.stdout.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= mostBytes) chunks.push(chunk)
    else running.kill('SIGKILL')
  })
  const result = await running
  if (!result.failed) return Buffer.concat(chunks).toString()
  signal?.throwIfAborted()
  if (result.code === 'ENOENT') {
    throw new NixeryError(
      'SETUP_FAILED',
      'reading store-paths.xz needs the program xz, which is not installed',
      {
        cause: result,
        hint: 'on Debian, install it with: apt-get install xz-utils; or pass a decompressed list with --store-paths',
      },
    )
  }
  const reason = length > mostBytes ? 'it is too large' : result.stderr.trim() || result.shortMessage
  throw new NixeryError('SOURCE_INVALID', `the list of store paths cannot be decompressed: ${reason}`, {
    cause: result,
  })
}
