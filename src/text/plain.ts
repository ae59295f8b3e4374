import { stripVTControlCharacters } from 'node:util'

/** The replacement for hidden text. */
export const hidden = '…'

// The maximum length removed from the end of a truncated line.
const longestWord = 500

/**
 * A line without escape sequences and without control and invisible characters. Escape sequences are removed from a
 * bounded line, since removing them takes time, and before anything else, since an invisible character in a word would
 * hide the word from rules. A truncated line also loses the word at the cut, because half a secret is not recognized.
 * @param bounds the maximum lengths to read and to keep, in UTF-16 units
 */
export function plainLine(line: string, { read, kept = read }: { read: number; kept?: number }): string {
  const wasCut = line.length > read
  const text = stripVTControlCharacters(wasCut ? line.slice(0, read) : line)
    .replace(invisible, '')
    .toWellFormed()
  return wasCut || text.length > kept ? withoutLastWord(text.slice(0, kept - hidden.length)) : text
}

/**
 * Makes a text of this program safe for terminals: without escape sequences, control and invisible characters, wherever
 * its parts come from. Line breaks are kept.
 */
export const plainText = (text: string): string =>
  stripVTControlCharacters(text)
    .split('\n')
    .map((line) => line.replace(invisible, ''))
    .join('\n')

/**
 * A text of another program on one line: without escape sequences, control and invisible characters, and shortened.
 * @param most UTF-16 units
 */
export const oneLine = (text: string, most: number): string => {
  // Some room for escape sequences, which are removed.
  const spaced = text.slice(0, 8 * most).replace(/\s+/g, ' ')
  return shortened(plainLine(spaced, { read: 4 * most }).trim(), most)
}

/**
 * Truncates a line from which secrets have been removed, and marks the cut.
 * @param most UTF-16 units
 */
export const shortened = (line: string, most: number): string =>
  line.length <= most ? line : `${line.slice(0, most - hidden.length).toWellFormed()}${hidden}`

/** Control and format characters, and other invisible ones (Unicode's default ignorable characters), except tabs. */
const invisible = /[[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2028\u2029]--\t]/gv

/** Scans from the end, because a pattern that ends with `$` would be tried at every character. */
function withoutLastWord(text: string): string {
  let end = text.length
  const least = Math.max(0, end - longestWord)
  while (end > least && !/\s/.test(text[end - 1] ?? '')) end -= 1
  return `${text.slice(0, end)}${hidden}`.toWellFormed()
}
