import { createBuildReport } from './build-report.ts'

const mostLines = 25

/**
 * What Nix says of a failed evaluation: its first error, without the trace that newer versions put before it, which
 * is of this program's own expression.
 */
export function messageOf(lines: readonly string[]): string {
  const first = lines.findIndex((line) => line.startsWith('error:'))
  if (first === -1) return text(lines.slice(-mostLines))
  const traced = lines[first]?.trim() === 'error:'
  const cause = traced ? lines.findIndex((line, at) => at > first && /^ +error:/.test(line)) : first
  const told = lines.slice(Math.max(cause, first)).filter((line) => !noiseOfEvaluation.test(line))
  // It had to build something: the builder's own last words stand before the error.
  if (/error: (builder for|Cannot build|build(ing)? of) /.test(told[0] ?? '')) {
    return buildMessageOf([...lines.slice(0, first), ...told])
  }
  return text(told.slice(0, mostLines))
}

/** What Nix says of a failed build, with the last lines of the builder that failed. */
export function buildMessageOf(lines: readonly string[]): string {
  const report = createBuildReport()
  for (const line of lines) report.take(line)
  return report.text()
}

/** The first line of the last error: Nix's own verdict, behind all that builders print. */
export const lastErrorOf = (lines: readonly string[]): string =>
  lines.findLast((line) => /^ *error: *\S/.test(line)) ?? ''

const noiseOfEvaluation = /^(warning:|error \(ignored\):|\(use '--show-trace')/

/** Without empty lines and the indentation that Nix gives all lines but an error's first. */
const text = (lines: readonly string[]): string =>
  lines
    .filter((line) => line.trim() !== '')
    .map((line) => line.replace(/^ {7}/, ''))
    .join('\n') || 'Nix gave no reason'
