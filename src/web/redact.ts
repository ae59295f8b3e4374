import { stripVTControlCharacters } from 'node:util'

/** A text that may be shown to anyone. Lines stay lines. */
export const redact = (text: string): string => text.split('\n').map(createRedactor()).join('\n')

// A line longer than this loses its end before it is looked at, so that one line takes a millisecond at most; what
// is shown of it is much less, so that the cut does not show half a secret that was not recognised for it.
const readLength = 4_000
const shownLength = 1_000

/**
 * Takes secrets out of the lines of one text, in order: what stands between the first and the last line of a private
 * key is known only by where it stands.
 *
 * This is a net below the others and not a promise: a program can print its secret in any form.
 */
export function createRedactor(): (line: string) => string {
  let insideKey = false
  return (line) => {
    const text = plain(line)
    if (/-----BEGIN [A-Z ]*PRIVATE KEY/.test(text)) {
      insideKey = !/-----END [A-Z ]*PRIVATE KEY/.test(text)
      return `${hidden} (a private key)`
    }
    if (insideKey) {
      insideKey = keyLine.test(text)
      if (insideKey || /-----END/.test(text)) return hidden
    }
    return rules.reduce((rest, [what, by]) => rest.replace(what, by), text).slice(0, shownLength)
  }
}

// Inside a private key; Nix puts `>` before the lines of a builder that it repeats.
const keyLine = /^[\s>]*(?:[\w+/=]*|(?:Proc-Type|DEK-Info): .*)$/

/** First, as an invisible character in the middle of a word would hide the word from the rules. */
const plain = (line: string): string =>
  stripVTControlCharacters(line.slice(0, readLength))
    .replace(/[[\p{Cc}\p{Cf}\u2028\u2029]--\t]/gv, '')
    .toWellFormed()

const hidden = '…'

const words =
  'token|secret|passw(?:or)?d|passwd|passphrase|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|signature'

/**
 * What is hidden. Each rule takes time linear in the line: builders choose the lines. So no rule begins with
 * something that may be repeated, and what may be repeated inside has an upper bound or ends at its own beginning.
 */
const rules: readonly (readonly [RegExp, string])[] = [
  // https://user:token@host. A password may have `@` in it, and `/` if it was not encoded; a port is none.
  [/:\/\/[^\s/?#]*@/g, `://${hidden}@`],
  [/:\/\/[^\s/:@]{1,200}:(?!\d{1,5}[/?#])[^\s@]{1,400}@/g, `://${hidden}@`],
  // Headers, and the options of Nix that hold secrets: the rest of the line.
  [/((?:authorization|(?:set-)?cookie|access-tokens?)["']?\s{0,9}[:=]\s{0,9}).+/gi, `$1${hidden}`],
  [/(\bbearer\s{1,9})[\w.~+/=-]{12,}/gi, `$1${hidden}`],
  // netrc
  [/(\blogin\s{1,9}\S{1,200}\s{1,9}password\s{1,9})\S+/gi, `$1${hidden}`],
  // `password=…`, `GITHUB_TOKEN: …`, `--token …`, `"secret": "…"`, `?X-Amz-Signature=…`
  [
    new RegExp(`((?:${words})[\\w-]{0,20}["']?\\s{0,9}[:=]\\s{0,9})(?:"[^"]*"?|'[^']*'?|[^\\s&,;"']+)`, 'gi'),
    `$1${hidden}`,
  ],
  [new RegExp(`(--[\\w-]{0,20}(?:${words})\\s{1,9})[^\\s-]\\S*`, 'gi'), `$1${hidden}`],
  // Tokens that say what they are: GitHub, GitLab, Slack, AWS, signed JSON.
  [/\b(?:gh[opusr]_|github_pat_|glpat-|xox[abprs]-)[\w-]{10,}/g, hidden],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, hidden],
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, hidden],
]
