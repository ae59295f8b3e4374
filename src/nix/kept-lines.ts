import { continuesError, isCascadeLine, isCascadeReason, unbuildable } from './nix-error.ts'

/** The last lines of a process, in bounded memory. */
export type KeptLines = {
  readonly lines: readonly string[]
  push(line: string): void
}

/**
 * Keeps the last lines, except those that only report that a dependent of a failed package fails as well, or that Nix is
 * waiting for a lock: there may be many of them, and they would displace the reason.
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
      // The paths that were to be built follow the reason.
      if (inCascade && continuesError(line)) return
      inCascade = false
      lines.push(line)
      if (lines.length > most) lines.shift()
    },
  }
}
