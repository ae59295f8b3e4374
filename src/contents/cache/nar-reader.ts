import { closeSync, openSync, readSync } from 'node:fs'
import type { NarSource } from '../contents.ts'
import type { Entry, FileReader } from '../entry.ts'
import { narEntries } from './nar.ts'
import type { ThreadDecoders } from './thread-decoders.ts'

/** The entries of a NAR; see `narEntries` for when they can be trusted. */
export function* fileEntries(source: NarSource, decoders: ThreadDecoders): Generator<Entry> {
  const file = 'bytes' in source.content ? readBytes(source.content.bytes) : readFile(source.content.file)
  let expanded: FileReader | undefined
  try {
    if (source.compression !== 'none') {
      expanded = decoders.get(source.compression)?.(file)
      if (!expanded) throw new Error(`the library for ${source.compression} is not there`)
    }
    yield* narEntries(expanded ?? file, source)
  } finally {
    expanded?.close()
    file.close()
  }
}

function readFile(path: string): FileReader {
  const descriptor = openSync(path, 'r')
  return {
    read: (into) => readSync(descriptor, into, 0, into.length, null),
    close: () => closeSync(descriptor),
  }
}

function readBytes(bytes: Uint8Array): FileReader {
  let at = 0
  return {
    read(into) {
      const piece = bytes.subarray(at, at + into.length)
      into.set(piece)
      at += piece.length
      return piece.length
    },
    close() {},
  }
}

/** The first bytes of a file in a NAR, which is verified; `path` as in entries. */
export function readHead(source: NarSource, path: string, most: number): Buffer {
  let head = Buffer.alloc(0)
  for (const entry of fileEntries(source, new Map())) {
    if (entry.path !== path || entry.kind !== 'file' || 'bytes' in entry.content) continue
    head = Buffer.alloc(Math.min(most, entry.content.size))
    const reader = entry.content.open()
    for (let at = 0; at < head.length;) at += reader.read(head.subarray(at))
    reader.close()
  }
  return head
}
