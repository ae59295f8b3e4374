import type { ImageRequest } from '../image/name.ts'
import type { Builds } from './builds.ts'
import type { Image } from './image.ts'

/** Builds for a test: a function serves each request immediately, without joining. */
export function buildsOf(
  build: (request: ImageRequest) => Promise<Image>,
  known: Builds['known'] = () => undefined,
): Builds {
  const results = new Map<string, Promise<Image>>()
  return {
    known,
    async submit(request) {
      const id = String(results.size)
      const result = build(request)
      result.catch(() => {})
      results.set(id, result)
      return { id }
    },
    async *events() {},
    result: (id) => results.get(id) ?? Promise.reject(new Error(`no request ${id}`)),
    async cancel() {},
  }
}
