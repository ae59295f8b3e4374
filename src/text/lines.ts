import { plainLine } from './plain.ts'

/** The maximum length of a program's line in UTF-16 units. */
const maxLineLength = 2_000

// Some room for escape sequences, which are removed.
const maxRawLength = 4 * maxLineLength

/**
 * Calls `take` with each line; for an endless line, with its beginning.
 * @param most the maximum length in UTF-16 units; a truncated line has one more
 */
export async function eachLine(
  chunks: AsyncIterable<Uint8Array>,
  take: (line: string) => void,
  most = maxRawLength,
): Promise<void> {
  const decoder = new TextDecoder()
  let partial = ''
  const append = (text: string) => {
    // One more than is read, so that truncated lines can be recognized.
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
 * Cleans a line of a build: removes escape sequences, control and invisible characters, and limits its length. Of a
 * line that was overwritten, such as a progress bar, only the last state remains. It may still contain secrets
 * (`redact.ts`).
 */
export function printable(line: string): string {
  const bounded = line.length > maxRawLength ? line.slice(0, maxRawLength + 1) : line
  const shown = bounded.replace(/\r{1,9}$/, '')
  const last = shown.slice(shown.lastIndexOf('\r') + 1)
  // In a truncated line, the last part is at the cut.
  const read = bounded === line ? maxRawLength : last.length - 1
  return plainLine(last, { read, kept: maxLineLength })
}
