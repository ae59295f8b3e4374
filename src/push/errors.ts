import { type DetailOf, NixeryError } from '../errors.ts'
import { oneLine } from '../text/plain.ts'

/** A registry that could not be reached, or did not do what was asked. */
export class RegistryError extends NixeryError<'REGISTRY_REFUSED' | 'REGISTRY_UNAVAILABLE'> {
  /** Whether the same may succeed a little later. */
  readonly passing: boolean
  /** Whether it was an answer, and not the want of one. */
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

// UTF-16 units of what a registry or a credential helper says.
const longestReason = 500

/** What another program says, on one line and not endless. */
export const foreignText = (text: string): string => oneLine(text, longestReason)

/** The registry's own words for a failure, in the distribution spec's form; empty if it has none. */
export function reasonIn(body: string): string {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] }
    const reasons = (errors ?? []).map(({ code, message }) =>
      [code, message].filter((part) => typeof part === 'string' && part !== '').join(': '),
    )
    return foreignText(reasons.filter((reason) => reason !== '').join('; '))
  } catch {
    return '' // some proxy's page
  }
}
