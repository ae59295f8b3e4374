import { deflateSync, inflateSync } from 'node:zlib'
import type { BaseEntry } from '../rootfs/base-entry.ts'

// The catalog's format for a layer's entries: JSON, deflated, in base64. An entry of slim Debian takes ten bytes.

/** Increment this when the meaning of entries changes. */
export const scanVersion = 1
// The maximum size of the text that is stored, and that is read: larger layers are read again when needed.
const mostKept = 8 * 1024 * 1024
const mostRead = 512 * 1024 * 1024

/** The text for the catalog; undefined for a layer with too many files. */
export function scanText(entries: readonly BaseEntry[]): string | undefined {
  const text = deflateSync(JSON.stringify(entries)).toString('base64')
  return text.length > mostKept ? undefined : text
}

/** Undefined for an invalid text. */
export function parseScan(text: string | undefined): readonly BaseEntry[] | undefined {
  if (text === undefined || text === '') return undefined
  try {
    const bytes = inflateSync(Buffer.from(text, 'base64'), { maxOutputLength: mostRead })
    return JSON.parse(bytes.toString()) as BaseEntry[]
  } catch {
    return undefined // damaged: the layer is read again
  }
}
