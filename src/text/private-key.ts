import { hidden } from './plain.ts'

const begin = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY/
const end = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY/
// Nix puts `>` before the lines of a builder that it repeats.
const keyLine = /^[\s>]*(?:[\w+/=]*|(?:Proc-Type|DEK-Info|Version|Comment): .*)$/
const longKeyLine = /^[\s>]*[A-Za-z0-9+/=]{32,}$/
// A key of 16,384 bits has 200 lines.
const longestKey = 250

/**
 * Hides private keys in PEM, whose lines are known only by where they stand. Where other lines come between, from a
 * builder that runs beside this one, only the long lines of the key are still hidden.
 * @returns a function for the lines of one text, in order
 */
export function createKeyHider(): (line: string) => string | undefined {
  let left = 0 // lines of a key that may still come
  let adjacent = false
  return (line) => {
    if (begin.test(line)) {
      left = end.test(line) ? 0 : longestKey
      adjacent = true
      return `${hidden} (a private key)`
    }
    if (left === 0) return undefined
    left -= 1
    if (/-----END /.test(line)) {
      left = 0
      return hidden
    }
    adjacent &&= keyLine.test(line)
    return adjacent || longKeyLine.test(line) ? hidden : undefined
  }
}
