import { NixeryError } from '../../errors.ts'
import type { StorePath } from '../../image/store-path.ts'

/**
 * A failure of a cache. `isPassing`: it may be temporary. `isSlow`: nothing arrived within the timeout, so another cache
 * should be tried.
 */
export class CacheTrouble extends Error {
  readonly isPassing: boolean
  readonly isSlow: boolean
  /** Milliseconds that the server asks to wait. */
  readonly retryAfter: number
  constructor(
    message: string,
    {
      isPassing = false,
      isSlow = false,
      retryAfter = 0,
      cause,
    }: { isPassing?: boolean; isSlow?: boolean; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'CacheTrouble'
    this.isPassing = isPassing || isSlow
    this.isSlow = isSlow
    this.retryAfter = retryAfter
  }
}

/**
 * A path that a cache listed but did not deliver: the data does not match the signature, or did not arrive. Its code is
 * BUILD_FAILED, for callers that have no other source of the path.
 */
export class BadPath extends NixeryError {
  readonly storePath: StorePath
  readonly cache: string
  constructor(storePath: StorePath, cache: string, reason: string, cause?: unknown) {
    super('BUILD_FAILED', `the binary cache ${cache} did not deliver ${storePath}: ${reason}`, {
      cause,
      hint: 'the operator can check whether the cache is damaged, or set another one in NIXERY_SUBSTITUTERS',
    })
    this.storePath = storePath
    this.cache = cache
  }
}

/** The reason of a failure, in words: `fetch` only reports "fetch failed", with the reason as the cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error && !(error instanceof CacheTrouble)) return reasonOf(error.cause)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return error.message || (code ?? error.name)
}
