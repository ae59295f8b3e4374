/**
 * A separate process that expands the files of NARs one after another, as packing threads do, and discards
 * them. Its argument is `ExpandJob` as JSON; it prints `ExpandResult`.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { openThreadDecoders } from '../../src/contents/cache/thread-decoders.ts'

export type ExpandJob = { readonly files: readonly string[]; readonly compression: 'xz' | 'zstd' }
/** CPU time in ms, and bytes of output. */
export type ExpandResult = { readonly cpu: number; readonly bytes: number }

const { files, compression } = JSON.parse(process.argv[2] ?? '') as ExpandJob
const open = (await openThreadDecoders()).get(compression)
if (!open) throw new Error(`the library for ${compression} is not installed`)
const into = new Uint8Array(256 * 1024)
let bytes = 0
const before = process.cpuUsage()
for (const file of files) {
  const descriptor = openSync(file, 'r')
  const reader = open({ read: (buffer) => readSync(descriptor, buffer, 0, buffer.length, null) })
  for (let got = reader.read(into); got > 0; got = reader.read(into)) bytes += got
  reader.close()
  closeSync(descriptor)
}
const { user, system } = process.cpuUsage(before)
process.stdout.write(JSON.stringify({ cpu: (user + system) / 1000, bytes } satisfies ExpandResult))
