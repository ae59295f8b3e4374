import { stripVTControlCharacters } from 'node:util'

/** What stands in place of something that is not shown. */
export const hidden = '…'

// At most so much is taken off the end of a line that was cut.
const longestWord = 500

/**
 * A line without escape sequences and without control and invisible characters. Escape sequences are removed from a
 * bounded line, since removing them takes time, and before anything else, since an invisible character in a word
 * would hide the word from rules. A line that is cut also loses the word in which it was cut: half a secret is not
 * recognised as one.
 * @param bounds UTF-16 units that are read, and that are kept of them
 */
export function plainLine(line: string, { read, kept = read }: { read: number; kept?: number }): string {
  const wasCut = line.length > read
  const text = stripVTControlCharacters(wasCut ? line.slice(0, read) : line)
    .replace(invisible, '')
    .toWellFormed()
  return wasCut || text.length > kept ? withoutLastWord(text.slice(0, kept - hidden.length)) : text
}

/**
 * A text of this program as a terminal may get it: without escape sequences, control and invisible characters,
 * wherever its parts come from. Lines stay lines.
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
  // Some room for the escape sequences that are removed.
  const spaced = text.slice(0, 8 * most).replace(/\s+/g, ' ')
  return shortened(plainLine(spaced, { read: 4 * most }).trim(), most)
}

/**
 * The first characters of a line that has nothing to hide any more, and a mark if there were others.
 * @param most UTF-16 units
 */
export const shortened = (line: string, most: number): string =>
  line.length <= most ? line : `${line.slice(0, most - hidden.length).toWellFormed()}${hidden}`

/** Control and format characters, and others that are not shown (Unicode's default ignorable ones), but for tabs. */
const invisible = /[[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2028\u2029]--\t]/gv

/** Counted from the end, as a pattern that ends with `$` would be tried at every character. */
function withoutLastWord(text: string): string {
  let end = text.length
  const least = Math.max(0, end - longestWord)
  while (end > least && !/\s/.test(text[end - 1] ?? '')) end -= 1
  return `${text.slice(0, end)}${hidden}`.toWellFormed()
}
