import type { Redactor } from '../text/redact.ts'

/** Lines of one build that are logged, and UTF-16 units of them. */
export const mostLines = 5_000
export const mostText = 1_000_000

/**
 * The lines of one build for the log, without secrets and in bounds: a builder may print gigabytes. What is left out
 * is known by one line that says so.
 * @returns a function for the lines in order; undefined for one that is left out
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
    return `further output of this build is left out, after ${mostLines} lines or ${mostText} characters`
  }
}
