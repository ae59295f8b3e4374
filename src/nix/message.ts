import { createBuildReport } from './build-report.ts'

const mostLines = 25

/**
 * The message of a failed evaluation: Nix's first error, without the trace that newer versions print before it, which
 * shows this program's own expression.
 */
export function messageOf(lines: readonly string[]): string {
  const first = lines.findIndex((line) => line.startsWith('error:'))
  if (first === -1) return text(lines.slice(-mostLines))
  const traced = lines[first]?.trim() === 'error:'
  const cause = traced ? lines.findIndex((line, at) => at > first && /^ +error:/.test(line)) : first
  const message = lines.slice(Math.max(cause, first)).filter((line) => !noiseOfEvaluation.test(line))
  // A build during evaluation failed: the builder's last lines are before the error.
  if (/error: (builder for|Cannot build|build(ing)? of) /.test(message[0] ?? '')) {
    return buildMessageOf([...lines.slice(0, first), ...message])
  }
  return text(message.slice(0, mostLines))
}

/** The message of a failed build, with the last lines of the failed builder. */
export function buildMessageOf(lines: readonly string[]): string {
  const report = createBuildReport()
  for (const line of lines) report.take(line)
  return report.text()
}

/** The first line of the last error, which comes after all output of builders. */
export const lastErrorOf = (lines: readonly string[]): string =>
  lines.findLast((line) => /^ *error: *\S/.test(line)) ?? ''

const noiseOfEvaluation = /^(warning:|error \(ignored\):|\(use '--show-trace')/

/** Removes empty lines, and the indentation that Nix adds to all lines of an error but the first. */
const text = (lines: readonly string[]): string =>
  lines
    .filter((line) => line.trim() !== '')
    .map((line) => line.replace(/^ {7}/, ''))
    .join('\n') || 'Nix gave no reason'
