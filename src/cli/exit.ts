import { NixeryError, type ErrorCode, isNixeryError } from '../errors.ts'
import type { Progress } from './progress.ts'

/** Exit codes for scripts. Each has the same meaning in all commands. */
const meanings = [
  [0, 'done'],
  [1, 'internal error (a bug)'],
  [2, 'invalid usage, configuration or setup'],
  [3, 'package or tag not found'],
  [4, 'package, package set or cache: denied, unreachable, or failed to build'],
  [5, 'timed out'],
  [6, 'storage or output is full, damaged or not writable'],
  [7, 'the target registry refused the push or is unreachable'],
  [130, 'interrupted (143 if terminated by SIGTERM)'],
] as const

export const exitCodesHelp = `
Exit codes:
${meanings.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`).join('\n')}
`

const codes: Readonly<Record<ErrorCode, (typeof meanings)[number][0]>> = {
  NAME_INVALID: 2,
  TAG_INVALID: 2,
  DIGEST_INVALID: 2,
  UNSUPPORTED: 2,
  CONFIG_INVALID: 2,
  SETUP_FAILED: 2,
  NIX_UNAVAILABLE: 2,
  PACKAGE_UNKNOWN: 3,
  RECIPE_UNKNOWN: 3,
  MANIFEST_UNKNOWN: 3,
  PACKAGE_INVALID: 4,
  PACKAGE_DENIED: 4,
  RECIPE_INVALID: 4,
  ACCESS_DENIED: 4,
  SOURCE_INVALID: 4,
  SOURCE_UNREACHABLE: 4,
  BUILD_FAILED: 4,
  EVALUATION_TIMEOUT: 5,
  BUILD_TIMEOUT: 5,
  STILL_BUILDING: 5,
  OVERLOADED: 5,
  BLOB_UNKNOWN: 6,
  STORE_FULL: 6,
  STORE_UNAVAILABLE: 6,
  REGISTRY_REFUSED: 7,
  REGISTRY_UNAVAILABLE: 7,
  CANCELLED: 130,
  // Raised only in the server, or turned into another code before a command sees it.
  RANGE_INVALID: 1,
  QUERY_INVALID: 1,
  REQUEST_INVALID: 1,
  PRECONDITION_FAILED: 1,
  ROUTE_UNKNOWN: 1,
  UNAUTHENTICATED: 1,
  RATE_LIMITED: 1,
  QUOTA_EXCEEDED: 1,
  NOT_READY: 1,
  STORE_PATH_INVALID: 1,
}

/** The exit code of a failure. Any error that is not a NixeryError is a bug. */
export const exitCodeOf = (error: unknown): number => (isNixeryError(error) ? codes[error.code] : 1)

/**
 * Runs a command, reports its failure, and sets the exit code. SIGINT and SIGTERM cancel it; a second signal ends the
 * process immediately.
 * @param hint what to do after an interruption
 */
export async function runCommand(
  progress: Progress,
  work: (signal: AbortSignal) => Promise<void>,
  hint?: string,
): Promise<void> {
  const interrupted = (cause?: unknown) =>
    new NixeryError('CANCELLED', 'interrupted', { cause, ...(hint !== undefined && { hint }) })
  const abort = new AbortController()
  let killed: number | undefined
  const stop = (signal: NodeJS.Signals) => {
    if (killed !== undefined) process.exit(killed)
    killed = signal === 'SIGTERM' ? 143 : 130
    abort.abort(interrupted())
  }
  // Not `once`: execa uses signal-exit, which ends the process as soon as only its own listeners are left.
  process.on('SIGINT', stop).on('SIGTERM', stop)
  // A reader that closes the pipe early, such as `head`, is not a failure. Archives are written with a stream of their
  // own, which reports errors.
  for (const out of [process.stdout, process.stderr]) out.on('error', () => {})
  try {
    await work(abort.signal)
  } catch (error) {
    // A signal takes precedence over the error that it caused.
    process.exitCode = killed ?? exitCodeOf(error)
    progress.fail(killed === undefined ? error : interrupted(error), process.exitCode)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}
