import { stripVTControlCharacters } from 'node:util'
import { NixeryError } from '../errors.ts'

/** A registry that could not be reached, or did not do what was asked. */
export class RegistryError extends NixeryError {
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
      detail?: unknown
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

/** What a registry says is a stranger's: one line, no control characters, not endless. */
export const printable = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim()
    .slice(0, 500)

/** The registry's own words for a failure, in the distribution spec's form; empty if it has none. */
export function reasonIn(body: string): string {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] }
    const reasons = (errors ?? []).map(({ code, message }) =>
      [code, message].filter((part) => typeof part === 'string' && part !== '').join(': '),
    )
    return printable(reasons.filter((reason) => reason !== '').join('; '))
  } catch {
    return '' // some proxy's page
  }
}
