/** Prints results to standard output, and a line of progress if standard error is a terminal. */
export type Progress = {
  print(lines: readonly string[]): void
  show(line: string): void
  clear(): void
}

export function createProgress(): Progress {
  const { stdout, stderr } = process
  const clear = () => {
    if (stderr.isTTY) stderr.write('\r\u001b[K')
  }
  return {
    clear,
    show(line) {
      clear()
      if (stderr.isTTY) stderr.write(line.slice(0, stderr.columns - 1))
    },
    print(lines) {
      clear()
      for (const line of lines) stdout.write(`${line}\n`)
    },
  }
}
