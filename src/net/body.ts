import type { IncomingMessage } from 'node:http'
import { pipeline, type Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'

/**
 * Reads a body into memory. Small bodies are read even where nobody wants them, because a connection with a rest in it
 * cannot be used again.
 * @param decode whether a compressed body is decoded; the limit counts what comes out
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

/** The bytes of a body without the compression that the server applied, if it is a known one. */
export function decoded(incoming: IncomingMessage): AsyncIterable<Buffer> {
  const decoder = decoderOf(incoming.headers['content-encoding'])
  if (!decoder) return incoming
  // Destroys both when one fails or is no longer read; the failure reaches whoever reads.
  pipeline(incoming, decoder, () => {})
  return decoder
}

function decoderOf(coding: string | undefined): Duplex | undefined {
  if (coding === 'gzip' || coding === 'x-gzip') return createGunzip()
  if (coding === 'zstd') return createZstdDecompress()
  return coding === 'br' ? createBrotliDecompress() : undefined
}
