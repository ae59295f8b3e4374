import type { RequestKind } from './route.ts'

/** One request and its response. `path` and `userAgent` are as the client sent them: data only. */
export type AccessLogEntry = {
  readonly id: string
  readonly kind: RequestKind
  readonly method: string
  readonly path: string
  readonly status: number
  /** Until the last byte was handed over. */
  readonly ms: number
  /** The bytes of the body that were sent. */
  readonly bytes: number
  readonly userAgent: string | undefined
  readonly error?: unknown
}
