import { plainLine } from './plain.ts'

/** UTF-16 units of a program's line that are kept. */
const maxLineLength = 2_000

// Some room for the escape sequences that are removed.
const maxRawLength = 4 * maxLineLength

/**
 * Calls `take` with each line; for an endless line, with its beginning.
 * @param most UTF-16 units of a line, and one more of a line that was cut
 */
export async function eachLine(
  chunks: AsyncIterable<Uint8Array>,
  take: (line: string) => void,
  most = maxRawLength,
): Promise<void> {
  const decoder = new TextDecoder()
  let partial = ''
  const append = (text: string) => {
    // One more than is read, so that a line that was cut is known as one.
    if (partial.length <= most) partial += text.slice(0, most + 1)
  }
  for await (const chunk of chunks) {
    const [first = '', ...rest] = decoder.decode(chunk, { stream: true }).split('\n')
    append(first)
    for (const text of rest) {
      take(partial)
      partial = ''
      append(text)
    }
  }
  if (partial !== '') take(partial)
}

/**
 * A line of a build as it may be kept: without escape sequences, control and invisible characters, and bounded. Of a
 * line that was written over, such as a progress bar, what it ended as. It may still hold secrets (`redact.ts`).
 */
export function printable(line: string): string {
  const bounded = line.length > maxRawLength ? line.slice(0, maxRawLength + 1) : line
  const shown = bounded.replace(/\r{1,9}$/, '')
  const last = shown.slice(shown.lastIndexOf('\r') + 1)
  // Where the line was cut, its last part is.
  const read = bounded === line ? maxRawLength : last.length - 1
  return plainLine(last, { read, kept: maxLineLength })
}
