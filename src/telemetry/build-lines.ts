import type { Redactor } from '../text/redact.ts'

/** The maximum number of log lines of one build, and their total length in UTF-16 units. */
export const mostLines = 5_000
export const mostText = 1_000_000

/**
 * Prepares the lines of one build for the log: without secrets, and limited, because a builder may print gigabytes. One
 * line reports that further lines are omitted.
 * @returns a function for the lines in order, which returns undefined for an omitted line
 */
export function createBuildLines(redactor: Redactor): (line: string) => string | undefined {
  const redact = redactor.lines()
  let lines = 0
  let text = 0
  return (line) => {
    if (lines > mostLines) return undefined
    const shown = redact(line)
    lines += 1
    text += shown.length
    if (lines <= mostLines && text <= mostText) return shown
    lines = mostLines + 1
    return `further output of this build is omitted, after ${mostLines} lines or ${mostText} characters`
  }
}
