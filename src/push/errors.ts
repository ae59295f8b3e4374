import { type DetailOf, NixeryError } from '../errors.ts'
import { oneLine } from '../text/plain.ts'

/** A registry could not be reached, or refused a request. */
export class RegistryError extends NixeryError<'REGISTRY_REFUSED' | 'REGISTRY_UNAVAILABLE'> {
  /** Whether the same request may succeed later. */
  readonly passing: boolean
  /** Whether the registry responded at all. */
  readonly answered: boolean
  /** Seconds that the registry asks to wait. */
  readonly retryAfter: number | undefined

  constructor(
    code: 'REGISTRY_REFUSED' | 'REGISTRY_UNAVAILABLE',
    message: string,
    options: {
      cause?: unknown
      hint?: string
      detail?: DetailOf<'REGISTRY_REFUSED' | 'REGISTRY_UNAVAILABLE'>
      passing?: boolean
      answered?: boolean
      retryAfter?: number
    } = {},
  ) {
    super(code, message, options)
    this.passing = options.passing ?? false
    this.answered = options.answered ?? true
    this.retryAfter = options.retryAfter
  }
}

// UTF-16 units of a message of a registry or a credential helper.
const longestReason = 500

/** Shortens another program's message to one line. */
export const foreignText = (text: string): string => oneLine(text, longestReason)

/** The messages of an error response in the format of the distribution spec; empty if there are none. */
export function reasonIn(body: string): string {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] }
    const reasons = (errors ?? []).map(({ code, message }) =>
      [code, message].filter((part) => typeof part === 'string' && part !== '').join(': '),
    )
    return foreignText(reasons.filter((reason) => reason !== '').join('; '))
  } catch {
    return '' // not JSON, such as a proxy's error page
  }
}
