/**
 * A separate process that expands the files of NARs one after another, as packing threads do, and discards
 * them. Its argument is `ExpandJob` as JSON; it prints `ExpandResult`.
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { openThreadDecoders } from '../../src/contents/cache/thread-decoders.ts'

export type ExpandJob = {
  readonly files: readonly string[]
  readonly compression: 'xz' | 'zstd'
  /** Whether to compute the hashes that are verified, too: FileHash, of the file, and NarHash, of its expansion. */
  readonly isHashed?: boolean
}
/** CPU time in ms, and bytes of output. */
export type ExpandResult = { readonly cpu: number; readonly bytes: number }

const { files, compression, isHashed = false } = JSON.parse(process.argv[2] ?? '') as ExpandJob
const open = (await openThreadDecoders()).get(compression)
if (!open) throw new Error(`the library for ${compression} is not installed`)
const into = new Uint8Array(256 * 1024)
let bytes = 0
const before = process.cpuUsage()
for (const file of files) {
  const descriptor = openSync(file, 'r')
  const [fileHash, narHash] = [createHash('sha256'), createHash('sha256')]
  const reader = open({
    read(buffer) {
      const got = readSync(descriptor, buffer, 0, buffer.length, null)
      if (isHashed) fileHash.update(buffer.subarray(0, got))
      return got
    },
  })
  for (let got = reader.read(into); got > 0; got = reader.read(into)) {
    if (isHashed) narHash.update(into.subarray(0, got))
    bytes += got
  }
  reader.close()
  closeSync(descriptor)
}
const { user, system } = process.cpuUsage(before)
process.stdout.write(JSON.stringify({ cpu: (user + system) / 1000, bytes } satisfies ExpandResult))
