import { hidden, plainLine, shortened } from './plain.ts'
import { anyHint, hideForms } from './rules.ts'

/** Removes secrets from texts. */
export type Redactor = {
  /** A text of any number of lines; line breaks are kept. */
  readonly text: (text: string) => string
  /**
   * Returns a function for the lines of one source, in order, because private keys are recognized by the position of
   * their lines.
   */
  readonly lines: () => (line: string) => string
  /** Whether a text may contain a secret. Much cheaper than redaction, and never wrongly false. */
  readonly suspects: (text: string) => boolean
}

export type RedactorOptions = {
  /** The maximum length of a line that is read, in UTF-16 units, */
  readonly read?: number
  /** and the maximum length that is shown. */
  readonly shown?: number
}

/** For the log and the operator's terminal, where long lines are shown completely. */
export const wholeLines: RedactorOptions = { read: 32_000, shown: 32_000 }

/**
 * Creates the filter that removes secrets from all output of the program: responses, pages, and the log. It hides the
 * given values anywhere, and everything with the form of a secret.
 *
 * It is a last line of defense and not a guarantee: a builder can print a secret that it knows in any form.
 * @param secrets values that must be hidden, such as the program's own (`config/secrets.ts`)
 */
export function createRedactor(
  secrets: readonly string[] = [],
  { read = 4_000, shown = 1_000 }: RedactorOptions = {},
): Redactor {
  const literals = anyOf(secrets)
  const unescaped = anyOf(secrets.map(withoutBackslashes))
  const lines = () => {
    const hideKey = createKeyHider()
    return (line: string) => {
      const text = plainLine(line, { read })
      const found = hideKey(text)
      if (found !== undefined) return found
      return shortened(hideForms(literals ? text.replaceAll(literals, hidden) : text), shown)
    }
  }
  return {
    lines,
    text: (text) => text.split('\n').map(lines()).join('\n'),
    suspects: (text) =>
      unusual.test(text) ||
      anyHint.test(text) ||
      (unescaped !== undefined && withoutBackslashes(text).search(unescaped) !== -1),
  }
}

// Characters that may hide a word from the hints, literally or in JSON, and the start of a private key.
const unusual = /[^\t\n\x20-\x7e]|\\[bfru]|-----/

/** Handles repeated JSON encoding. */
const withoutBackslashes = (text: string): string => text.replaceAll('\\', '')

/** Finds any of these texts, the longest at each position, literally or inside a URL or JSON. */
function anyOf(secrets: readonly string[]): RegExp | undefined {
  const forms = secrets.flatMap((secret) =>
    secret === ''
      ? []
      : [secret, encodeURIComponent(secret.toWellFormed()), JSON.stringify(secret).slice(1, -1)],
  )
  if (forms.length === 0) return undefined
  const longestFirst = [...new Set(forms)].sort((a, b) => b.length - a.length)
  return new RegExp(longestFirst.map((form) => RegExp.escape(form)).join('|'), 'g')
}

/**
 * Removes secrets from a JSON line. Most lines contain none, and there may be thousands a second: only suspicious lines
 * are parsed again.
 */
export function redactJsonLine(line: string, redactor: Redactor): string {
  if (!redactor.suspects(line)) return line
  try {
    return `${JSON.stringify(mapTexts(JSON.parse(line), redactor.text))}\n`
  } catch {
    return `${redactor.text(line.trimEnd())}\n`
  }
}

/** Transforms every string in a JSON value, and leaves the rest unchanged. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, change))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapTexts(each, change)]))
}

const keyBegin = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY/
const keyEnd = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY/
// Nix puts `>` before the builder lines that it repeats.
const keyLine = /^[\s>]*(?:[\w+/=]*|(?:Proc-Type|DEK-Info|Version|Comment): .*)$/
const longKeyLine = /^[\s>]*[A-Za-z0-9+/=]{32,}$/
// A key of 16,384 bits has 200 lines.
const longestKey = 250

/**
 * Hides private keys in PEM, whose lines can only be recognized by their position. If lines of a concurrent builder
 * come in between, only the long lines of the key are hidden after that.
 * @returns a function for the lines of one text, in order
 */
function createKeyHider(): (line: string) => string | undefined {
  let left = 0 // the number of key lines that may still follow
  let adjacent = false
  return (line) => {
    if (keyBegin.test(line)) {
      left = keyEnd.test(line) ? 0 : longestKey
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
