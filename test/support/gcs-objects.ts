import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** An object of the fake. Its bytes are in a file, so that large objects do not use this process's memory. */
export type StoredObject = {
  readonly name: string
  readonly contentType: string
  readonly file: string
  readonly size: number
  readonly crc32c: string
  readonly md5Hash: string
  readonly updated: string
}

/** An unfinished resumable upload. */
export type Session = {
  readonly bucket: string
  readonly name: string
  readonly contentType: string
  /** The announced size in bytes, if any. */
  readonly announced: number | undefined
  readonly file: string
  received: number
}

/** Writes an object's bytes. */
export async function storeObject(
  folder: string,
  name: string,
  contentType: string,
  bytes: Uint8Array,
): Promise<StoredObject> {
  const file = join(folder, randomUUID())
  await writeFile(file, bytes)
  return describeObject(name, contentType, file)
}

/** Describes an existing file as an object. */
export async function describeObject(name: string, contentType: string, file: string): Promise<StoredObject> {
  const md5 = createHash('md5')
  let crc = 0xffffffff
  let size = 0
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    md5.update(chunk)
    for (const byte of chunk) crc = (crc >>> 8) ^ Number(table[(crc ^ byte) & 0xff])
    size += chunk.length
  }
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(~crc >>> 0)
  const crc32c = checksum.toString('base64')
  const updated = new Date().toISOString()
  return { name, contentType, file, size, crc32c, md5Hash: md5.digest('base64'), updated }
}

// CRC-32C (Castagnoli), bit-reversed.
const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/**
 * Appends a chunk to an upload. If the connection breaks, it keeps the whole units that arrived, as the real service
 * does.
 * @returns whether the whole chunk arrived
 */
export async function takeChunk(session: Session, body: Readable, unit: number): Promise<boolean> {
  const before = session.received
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      await appendFile(session.file, piece)
      session.received += piece.length
    }
    return true
  } catch {
    session.received -= (session.received - before) % unit
    await truncate(session.file, session.received)
    return false
  }
}

/** The two parts of a multipart/related body: the object's metadata and its bytes. */
export function parseRelated(
  contentType: string,
  body: Buffer,
): { metadata: { contentType?: string }; contentType: string; bytes: Buffer } | undefined {
  const boundary = /^multipart\/related; boundary="?(?<boundary>[^";]+)"?$/.exec(contentType)?.groups?.[
    'boundary'
  ]
  if (boundary === undefined) return undefined
  const end = body.lastIndexOf(`\r\n--${boundary}--`)
  const parts: { type: string; bytes: Buffer }[] = []
  let at = 0
  const opening = `--${boundary}\r\n`
  while (parts.length < 2) {
    const start = body.indexOf(opening, at)
    const blank = body.indexOf('\r\n\r\n', start)
    if (start < 0 || blank < 0) return undefined
    const type = /content-type: *(?<type>[^\r\n]+)/i.exec(body.toString('latin1', start, blank))?.groups?.[
      'type'
    ]
    const next = parts.length === 0 ? body.indexOf(`\r\n${opening}`, blank) : end
    if (type === undefined || next < 0) return undefined
    parts.push({ type, bytes: body.subarray(blank + 4, next) })
    at = next
  }
  const [head, content] = parts
  if (!head?.type.startsWith('application/json') || !content) return undefined
  const metadata = JSON.parse(head.bytes.toString()) as { contentType?: string }
  return { metadata, contentType: content.type, bytes: content.bytes }
}
