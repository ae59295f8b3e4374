import type { Finding } from './finding.ts'

const marks = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' } as const

// The width of the two columns before a message, and the smallest width to which it is wrapped.
const indent = 21
const narrowest = 30

/**
 * A finding as lines, whose continuations are indented like its message.
 * @param width to which it is wrapped, in columns. The commands of a fix are not, because they are copied.
 */
export function findingText({ about, state, message, fix }: Finding, width: number): string {
  const most = Math.max(narrowest, width - indent)
  const lines = (text: string, gap: RegExp) => text.split('\n').flatMap((line) => wrapped(line, gap, most))
  const fixes = fix === undefined ? [] : lines(`to fix: ${fix}`, / (?<=[,;:] )/)
  const all = [...lines(message, / /), ...fixes]
  return `${about.padEnd(10)} ${marks[state].padEnd(9)} ${all.join(`\n${' '.repeat(indent)}`)}`
}

/** Breaks a line at gaps. Longer pieces keep their own line. */
function wrapped(line: string, gap: RegExp, width: number): string[] {
  const lines: string[] = []
  for (const piece of line.split(gap)) {
    const longer = `${lines.at(-1)} ${piece}`
    if (lines.length === 0 || longer.length > width) lines.push(piece)
    else lines[lines.length - 1] = longer
  }
  return lines
}
