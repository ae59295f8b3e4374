import type { WriteStream } from 'node:tty'
import ora from 'ora'

/** A line at the foot of a terminal that changes. Texts must be free of control characters. */
export type Spinner = {
  show(text: string): void
  /** Shows a text, unless another was shown just now: for what changes all the time. */
  showSoon(text: string): void
  /** Prints a line that stays. */
  above(line: string): void
  /** Leaves nothing of itself. */
  stop(): void
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Whether somebody is watching. The output of a build server's jobs may look like a terminal, and is kept; and in
 * one that is no columns wide, ora would count lines for ever.
 */
export const isTerminal = (out: WriteStream, { TERM, CI }: Environment): boolean =>
  out.isTTY && out.columns > 0 && TERM !== 'dumb' && !CI

// A blob moves in pieces of a megabyte: a thousand lines a second would be drawn.
const drawInterval = 80

/** @param environment NO_COLOR (no-color.org) is kept to */
export function createSpinner(out: WriteStream, { NO_COLOR }: Environment): Spinner {
  // Reading standard input in its place would take Ctrl+C, and what is typed, from the shell.
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
