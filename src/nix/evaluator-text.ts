/**
 * How a process of `nix repl` is spoken to: one line a thing, on its standard input. What strangers sent is in these
 * lines only as JSON in a string of printable ASCII without "$", whose quotes and backslashes are escaped: no
 * character of it can end the string, begin an interpolation or a new line, or be a key to the line editor.
 */

/** A Nix expression whose value is the JSON text of a value. */
export function jsonText(value: unknown): string {
  // In JSON, what is escaped here can stand only within strings.
  const ascii = JSON.stringify(value).replace(/[^ -~]|\$/g, (character) => {
    const hex = character.charCodeAt(0).toString(16).padStart(4, '0')
    return `\\u${hex}`
  })
  return `"${ascii.replace(/["\\]/g, String.raw`\$&`)}"`
}

/**
 * Gives what evaluator.nix is for one package set a name. It is evaluated when it is first asked.
 * @param expression the text of evaluator.nix, which is put into the store: from there it can be read whatever is
 *   restricted
 */
export const lineOfSet = (expression: string, identity: unknown): string =>
  `answer = import (builtins.toFile "evaluator.nix" (builtins.fromJSON ${jsonText(expression)})) ${jsonText(identity)}\n`

/**
 * A request, and what is printed after it, whether it succeeds or not. Some versions print the lines themselves, too:
 * `endOf` and the beginning of an answer do not occur in them. The end is asked for twice. Nix 2.8 takes the end of a
 * broken file for that of its input, and the next line for a continuation: a command is none, so that ends it.
 * @param mark a random text of letters, digits and "-", new for each request
 */
export const linesOfRequest = (mark: string, request: unknown): string => {
  const end = `:p "end of " + "${mark}"\n`
  return `answer "${mark}" ${jsonText(request)}\n${end}${end}`
}

/** What standard output holds once a request is done. */
export const endOf = (mark: string): string => `end of ${mark}`

/**
 * The JSON text of a request's answer, or undefined when the evaluation failed.
 * @throws an Error when the answer is not as evaluator.nix gives it
 */
export function answerIn(output: string, mark: string): string | undefined {
  const [begin, end] = [`<${mark}>`, `</${mark}>`]
  const from = output.indexOf(begin)
  if (from === -1) return undefined
  const to = output.indexOf(end, from)
  if (to === -1) throw new Error('the answer of a Nix process has no end')
  // A Nix string as it is printed is one of JSON, too: without "$" only \\, \", \n, \r and \t are escaped.
  const text: unknown = JSON.parse(`"${output.slice(from + begin.length, to)}"`)
  return String(text)
}
