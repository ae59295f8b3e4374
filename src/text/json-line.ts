/**
 * Formats JSON on one line that is also safe to print on a terminal: control characters and invisible characters are
 * escaped. JSON itself escapes only those below U+0020.
 */
export const jsonLine = (value: unknown): string =>
  JSON.stringify(value).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (found) =>
    found
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
