import { deflateSync, inflateSync } from 'node:zlib'
import type { BaseEntry } from '../rootfs/base-entry.ts'

// How the catalog keeps what a layer has where: JSON, deflated, in base64. A line of slim Debian takes ten bytes.

/** Raise this when the entries get another meaning. */
export const scanVersion = 1
// Bytes of the text that are kept, and that are read: larger layers are read again when they are needed.
const mostKept = 8 * 1024 * 1024
const mostRead = 512 * 1024 * 1024

/** The text for the catalog; undefined for a layer with too many files. */
export function scanText(entries: readonly BaseEntry[]): string | undefined {
  const text = deflateSync(JSON.stringify(entries)).toString('base64')
  return text.length > mostKept ? undefined : text
}

/** Undefined for a text that cannot be read. */
export function parseScan(text: string | undefined): readonly BaseEntry[] | undefined {
  if (text === undefined || text === '') return undefined
  try {
    const bytes = inflateSync(Buffer.from(text, 'base64'), { maxOutputLength: mostRead })
    return JSON.parse(bytes.toString()) as BaseEntry[]
  } catch {
    return undefined // damaged: the layer is read again
  }
}
