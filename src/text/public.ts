import { type ErrorCode, isNixeryError } from '../errors.ts'
import { createRedactor, mapTexts, type Redactor } from './redact.ts'
import { createPathHider, createTraceFilter } from './traces.ts'

/** Makes texts fit for those who pull: without secrets, and without what is the operator's alone. */
export type PublicTexts = {
  /** A text of any number of lines. */
  readonly text: (text: string) => string
  /** A text that may name files of the operator: without any path outside of the store. */
  readonly strict: (text: string) => string
  /** A function for the lines of one build, in order; undefined for a line that is not shown. */
  readonly lines: () => (line: string) => string | undefined
  /** What is told of a failure. Of a bug, nothing. */
  readonly failure: (error: unknown) => PublicFailure
}

/** A failure as it may be told. `code` is undefined for a bug. */
export type PublicFailure = {
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly hint: string | undefined
  /** JSON, if there is something for machines. */
  readonly detail: unknown
}

export type PublicOptions = {
  readonly redactor: Redactor
  /** Folders of the server, whose paths are not shown. */
  readonly folders: readonly string[]
  /** Whether Nix's traces and paths of the server are shown all the same (`NIXERY_SHOW_TRACES`). */
  readonly showTraces: boolean
}

// UTF-16 units of a message.
const longestMessage = 20_000

/** Failures whose details are for clients of the registry. Those of others are for the log and the command line. */
const withDetail: ReadonlySet<ErrorCode> = new Set([
  'RANGE_INVALID',
  'PRECONDITION_FAILED',
  'PACKAGE_UNKNOWN',
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'STILL_BUILDING',
])

/** Failures that Nix, git, a store or the system tells of: their paths are the server's, not those of a builder. */
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
 * The one way by which foreign texts reach answers and pages. What is not said to those who pull is in the log, where
 * only secrets are hidden.
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
  // Some failures are one object for a flood of requests.
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
    // A detail holds names: no text of Nix, whatever is shown.
    const facts = withDetail.has(code) ? detail : undefined
    return {
      code,
      message: textOf(message, { all }),
      hint: hint === undefined ? undefined : textOf(hint),
      detail: mapTexts(facts, (text) => textOf(text, { shown: false, all: true })),
    }
  }
}

/** With nothing of the operator's known, as for tests. */
export const plainTexts: PublicTexts = createPublicTexts({
  redactor: createRedactor(),
  folders: [],
  showTraces: false,
})
