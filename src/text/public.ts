import { type ErrorCode, isNixeryError } from '../errors.ts'
import { createRedactor, mapTexts, type Redactor } from './redact.ts'
import { createPathHider, createTraceFilter } from './traces.ts'

/** Removes secrets and the operator's private details from texts for clients. */
export type PublicTexts = {
  /** A text of any number of lines. */
  readonly text: (text: string) => string
  /** A text that may contain the operator's paths: removes all paths outside of the store. */
  readonly strict: (text: string) => string
  /** Returns a function for the lines of one build, in order, which returns undefined for a hidden line. */
  readonly lines: () => (line: string) => string | undefined
  /** The public form of a failure; bugs have no details. */
  readonly failure: (error: unknown) => PublicFailure
}

/** The public form of a failure. `code` is undefined for a bug. */
export type PublicFailure = {
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly hint: string | undefined
  /** Machine-readable details as JSON, if any. */
  readonly detail: unknown
}

export type PublicOptions = {
  readonly redactor: Redactor
  /** Folders of the server whose paths are hidden. */
  readonly folders: readonly string[]
  /** Whether to show Nix's traces and paths of the server (`NIXERY_SHOW_TRACES`). */
  readonly showTraces: boolean
}

// The maximum length of a message in UTF-16 units.
const longestMessage = 20_000

/** Failures whose details are public. Details of others are only for the log and the command line. */
const withDetail: ReadonlySet<ErrorCode> = new Set([
  'RANGE_INVALID',
  'PRECONDITION_FAILED',
  'PACKAGE_UNKNOWN',
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'STILL_BUILDING',
])

/** Failures with messages of Nix, git, a store or the system: their paths are the server's, not a builder's. */
const ofOperator: ReadonlySet<ErrorCode> = new Set([
  'SOURCE_INVALID',
  'SOURCE_UNREACHABLE',
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'RECIPE_INVALID',
  'EVALUATION_TIMEOUT',
  'NIX_UNAVAILABLE',
  'STORE_FULL',
  'STORE_UNAVAILABLE',
  'STORE_PATH_INVALID',
  'CONFIG_INVALID',
  'SETUP_FAILED',
])

/**
 * The only way for external texts into responses and pages. What is hidden from clients is in the log, where only
 * secrets are removed.
 */
export function createPublicTexts({ redactor, folders, showTraces }: PublicOptions): PublicTexts {
  const hidePaths = createPathHider(folders)
  const filtered = (shown: boolean, all: boolean) => {
    const isTrace = createTraceFilter()
    const redact = redactor.lines()
    return (line: string): string | undefined => {
      const text = redact(line)
      if (shown) return text
      return isTrace(text) ? undefined : hidePaths(text, all)
    }
  }
  const textOf = (text: string, { shown = showTraces, all = false } = {}): string => {
    const show = filtered(shown, all)
    return text
      .slice(0, longestMessage)
      .split('\n')
      .map(show)
      .filter((line) => line !== undefined)
      .join('\n')
  }
  // Some failure objects are shared by a flood of requests.
  const failures = new WeakMap<Error, PublicFailure>()
  return {
    text: (text) => textOf(text),
    strict: (text) => textOf(text, { all: true }),
    lines: () => filtered(showTraces, false),
    failure(error) {
      const known = isNixeryError(error) ? failures.get(error) : undefined
      if (known) return known
      const failure = failureOf(error)
      if (isNixeryError(error)) failures.set(error, failure)
      return failure
    },
  }

  function failureOf(error: unknown): PublicFailure {
    if (!isNixeryError(error)) {
      return { code: undefined, message: 'internal error', hint: undefined, detail: undefined }
    }
    const { code, message, hint, detail } = error
    const all = ofOperator.has(code)
    // Details contain names only, never text from Nix.
    const facts = withDetail.has(code) ? detail : undefined
    return {
      code,
      message: textOf(message, { all }),
      hint: hint === undefined ? undefined : textOf(hint),
      detail: mapTexts(facts, (text) => textOf(text, { shown: false, all: true })),
    }
  }
}

/** Without any private details of the operator, for tests. */
export const plainTexts: PublicTexts = createPublicTexts({
  redactor: createRedactor(),
  folders: [],
  showTraces: false,
})
