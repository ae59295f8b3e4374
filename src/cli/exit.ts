import { NixeryError, type ErrorCode, isNixeryError } from '../errors.ts'
import type { Progress } from './progress.ts'

/** What a script can tell apart: one meaning for each code, in all commands. */
const meanings = [
  [0, 'done'],
  [1, 'a bug of this program'],
  [2, 'usage, configuration or set-up'],
  [3, 'no such package, or no such tag'],
  [4, 'a package, the package set or a binary cache: denied, unreachable, or does not evaluate or build'],
  [5, 'out of time'],
  [6, 'storage or output: full, damaged, or not to be written'],
  [7, 'the registry that was pushed to refused, or cannot be reached'],
  [130, 'interrupted (143 when ended by SIGTERM)'],
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
  MANIFEST_UNKNOWN: 3,
  PACKAGE_INVALID: 4,
  PACKAGE_DENIED: 4,
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
  // Of a server, or of what Nix itself said: no command meets them.
  RANGE_INVALID: 1,
  QUERY_INVALID: 1,
  REQUEST_INVALID: 1,
  PRECONDITION_FAILED: 1,
  ROUTE_UNKNOWN: 1,
  STORE_PATH_INVALID: 1,
}

/** The exit code of a failure. What no user can bring about is a bug. */
export const exitCodeOf = (error: unknown): number => (isNixeryError(error) ? codes[error.code] : 1)

/**
 * Runs a command to its end, reports its failure, and sets the exit code. SIGINT and SIGTERM end it in order; a
 * second one at once.
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
  // Not `once`: when only its own listeners are left, signal-exit, which execa listens by, ends the process.
  process.on('SIGINT', stop).on('SIGTERM', stop)
  // A reader that has seen enough, as `head`, is no failure; who writes an archive is told by its own means.
  for (const out of [process.stdout, process.stderr]) out.on('error', () => {})
  try {
    await work(abort.signal)
  } catch (error) {
    // Whatever broke in the end: it was ended from outside.
    process.exitCode = killed ?? exitCodeOf(error)
    progress.fail(killed === undefined ? error : interrupted(error), process.exitCode)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}
