import type { IncomingMessage } from 'node:http'
import { pipeline, type Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'

/**
 * Reads a body into memory. Small bodies are read even if they are not needed, because a connection with unread data
 * cannot be reused.
 * @param decode whether a compressed body is decoded; the limit applies to the decoded bytes
 * @returns undefined if it is larger than the limit; the connection is closed then
 */
export async function readBody(
  incoming: IncomingMessage,
  limit: number,
  decode: boolean,
): Promise<Buffer | undefined> {
  const bytes: AsyncIterable<Buffer> = decode ? decoded(incoming) : incoming
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > limit) {
      incoming.destroy()
      return undefined
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The decoded bytes of a body, if its compression is known. */
export function decoded(incoming: IncomingMessage): AsyncIterable<Buffer> {
  const decoder = decoderOf(incoming.headers['content-encoding'])
  if (!decoder) return incoming
  // Destroys both when one fails or is no longer read; the reader gets the error.
  pipeline(incoming, decoder, () => {})
  return decoder
}

function decoderOf(coding: string | undefined): Duplex | undefined {
  if (coding === 'gzip' || coding === 'x-gzip') return createGunzip()
  if (coding === 'zstd') return createZstdDecompress()
  return coding === 'br' ? createBrotliDecompress() : undefined
}
