import { closeSync, openSync, readSync } from 'node:fs'
import type { NarSource } from '../contents.ts'
import type { Entry, FileReader } from '../entry.ts'
import type { OpenXz } from './liblzma.ts'
import { narEntries } from './nar.ts'

/** The entries of a NAR on this machine; see `narEntries`, which tells when they can be trusted. */
export function* fileEntries(source: NarSource, openXz: OpenXz | undefined): Generator<Entry> {
  const descriptor = openSync(source.file, 'r')
  const file: FileReader = {
    read: (into) => readSync(descriptor, into, 0, into.length, null),
    close: () => closeSync(descriptor),
  }
  let xz: FileReader | undefined
  try {
    if (source.compression === 'xz') {
      if (!openXz) throw new Error('liblzma is not there')
      xz = openXz(file)
    }
    yield* narEntries(xz ?? file, source)
  } finally {
    xz?.close()
    file.close()
  }
}

/** The first bytes of a file in a NAR, which is verified; `path` is as entries have it. */
export function readHead(source: NarSource, path: string, most: number): Buffer {
  let head = Buffer.alloc(0)
  for (const entry of fileEntries(source, undefined)) {
    if (entry.path !== path || entry.kind !== 'file' || 'bytes' in entry.content) continue
    head = Buffer.alloc(Math.min(most, entry.content.size))
    const reader = entry.content.open()
    for (let at = 0; at < head.length;) at += reader.read(head.subarray(at))
    reader.close()
  }
  return head
}
