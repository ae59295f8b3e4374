/** An authentication challenge (RFC 9110 §11.3): a scheme in lower case, and parameters by name. */
export type Challenge = { readonly scheme: string; readonly parameters: ReadonlyMap<string, string> }

const tokenChars = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const gap = /[ \t,]+/y
const parameter = new RegExp(
  `(${tokenChars})[ \\t]*=[ \\t]*(?:(${tokenChars})|"((?:[^"\\\\]|\\\\.)*)")`,
  'sy',
)
const scheme = new RegExp(tokenChars, 'y')
const other = /[^,]+/y

/**
 * Parses `WWW-Authenticate`, including several headers joined by commas. Commas separate both challenges and their
 * parameters: a word followed by `=` and a value is a parameter, any other word starts a new challenge. Anything else,
 * such as the single value of `Negotiate`, is skipped.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(header)
    if (match) at = pattern.lastIndex
    return match
  }
  while (at < header.length) {
    if (take(gap)) continue
    const latest = challenges.at(-1)
    const pair = latest && take(parameter)
    if (pair) {
      const [, name = '', plain, quoted = ''] = pair
      latest.parameters.set(name.toLowerCase(), plain ?? quoted.replace(/\\(.)/gs, '$1'))
      continue
    }
    const word = take(scheme)
    if (word) challenges.push({ scheme: word[0].toLowerCase(), parameters: new Map() })
    else take(other)
  }
  return challenges
}
