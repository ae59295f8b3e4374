import type { RequestKind } from './route.ts'

/** One request and its response. `path` and `userAgent` are as the client sent them: data only. */
export type AccessLogEntry = {
  readonly id: string
  readonly kind: RequestKind
  readonly method: string
  readonly path: string
  readonly status: number
  /** Milliseconds until the last byte was handed to the system. */
  readonly ms: number
  /** The number of body bytes sent. */
  readonly bytes: number
  readonly userAgent: string | undefined
  readonly error?: unknown
}
