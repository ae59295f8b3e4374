import { continuesError, isCascadeLine, isCascadeReason, unbuildable } from './nix-error.ts'

/** The last lines of a process, in bounded memory. */
export type KeptLines = {
  readonly lines: readonly string[]
  push(line: string): void
}

/**
 * Keeps the last lines, but for those that only say that what needs a failed package fails, too, or waits: of them
 * there are as many as a chain of packages is long, and they would displace the reason.
 */
export function createKeptLines(most: number): KeptLines {
  const lines: string[] = []
  let inCascade = false
  return {
    lines,
    push(line) {
      if (isCascadeLine(line) || /^waiting for (?:locks? |exclusive access )/.test(line)) return
      if (isCascadeReason(line)) {
        if (unbuildable(lines.at(-1) ?? '') !== undefined) lines.pop()
        inCascade = true
        return
      }
      // What follows the reason: the paths that were to be made.
      if (inCascade && continuesError(line)) return
      inCascade = false
      lines.push(line)
      if (lines.length > most) lines.shift()
    },
  }
}
