import type { Transport } from '../contents/cache/transport.ts'
import { CacheTrouble } from '../contents/cache/trouble.ts'
import { hasCode } from '../errors.ts'
import type { Objects } from '../store/objects.ts'

/** Reads a binary cache in a bucket. A narinfo that names a file outside of it is refused. @param base its URL */
export function objectsTransport(objects: Objects, base: URL): Transport {
  const nameOf = (url: URL): string => {
    if (!url.href.startsWith(base.href))
      throw new CacheTrouble('a narinfo refers to a file outside of the cache')
    return decodeURIComponent(url.href.slice(base.href.length))
  }
  const failure = (error: unknown): CacheTrouble => {
    if (error instanceof CacheTrouble) return error
    if (hasCode(error, 'BLOB_UNKNOWN'))
      return new CacheTrouble('the file in its narinfo does not exist', { cause: error })
    const message = error instanceof Error ? error.message : String(error)
    return new CacheTrouble(message, { isPassing: true, cause: error })
  }
  return {
    async small(url, limit, signal) {
      try {
        signal?.throwIfAborted()
        return await objects.read(nameOf(url), limit)
      } catch (error) {
        signal?.throwIfAborted()
        throw failure(error)
      }
    },
    async *bytes(url, signal) {
      try {
        signal?.throwIfAborted()
        const stream = await objects.open(nameOf(url))
        const end = () => stream.destroy(signal?.reason as Error)
        signal?.addEventListener('abort', end, { once: true })
        try {
          yield* stream as AsyncIterable<Buffer>
        } finally {
          signal?.removeEventListener('abort', end)
          stream.destroy()
        }
      } catch (error) {
        signal?.throwIfAborted()
        throw failure(error)
      }
    },
  }
}
