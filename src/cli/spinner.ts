import type { WriteStream } from 'node:tty'
import ora from 'ora'

/** A status line at the bottom of a terminal. Texts must not contain control characters. */
export type Spinner = {
  show(text: string): void
  /** Shows a text unless another was shown a moment ago: for values that change all the time. */
  showSoon(text: string): void
  /** Prints a permanent line above the status line. */
  above(line: string): void
  /** Removes the status line. */
  stop(): void
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Whether the output is an interactive terminal. CI jobs may have a terminal, but their output is logged. In a terminal
 * of zero columns, ora would count lines forever.
 */
export const isTerminal = (out: WriteStream, { TERM, CI }: Environment): boolean =>
  out.isTTY && out.columns > 0 && TERM !== 'dumb' && !CI

// Milliseconds between updates. Blobs are copied in pieces of a megabyte, which would be a thousand updates a second.
const drawInterval = 80

/** @param environment NO_COLOR (no-color.org) is respected */
export function createSpinner(out: WriteStream, { NO_COLOR }: Environment): Spinner {
  // Discarding standard input would also discard Ctrl+C and what the user types for the shell.
  const spinner = ora({ stream: out, discardStdin: false, isEnabled: true, color: NO_COLOR ? false : 'cyan' })
  let shown = 0
  const show = (text: string) => {
    shown = performance.now()
    const line = text.split('\n')[0] ?? ''
    spinner.text = line.slice(0, Math.max(1, out.columns - 4))
    if (!spinner.isSpinning) spinner.start()
  }
  return {
    show,
    showSoon(text) {
      if (performance.now() - shown >= drawInterval) show(text)
    },
    above(line) {
      spinner.clear()
      out.write(`${line}\n`)
    },
    stop: () => void spinner.stop(),
  }
}
