import type { IncomingMessage } from 'node:http'
import { pipeline, type Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip } from 'node:zlib'

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
  const decoder = decode ? decoderOf(incoming.headers['content-encoding']) : undefined
  // Destroys both when one fails or is no longer read; the failure reaches the loop below.
  if (decoder) pipeline(incoming, decoder, () => {})
  const bytes = (decoder ?? incoming) as AsyncIterable<Buffer>
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

function decoderOf(coding: string | undefined): Duplex | undefined {
  if (coding === 'gzip' || coding === 'x-gzip') return createGunzip()
  return coding === 'br' ? createBrotliDecompress() : undefined
}
