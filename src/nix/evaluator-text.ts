/**
 * The protocol for a `nix repl` process: one statement per line on its standard input. Untrusted input appears in these
 * lines only as JSON in a string of printable ASCII without "$", with escaped quotes and backslashes. So it cannot end the
 * string, start an interpolation or a new line, or act as a key of the line editor.
 */

/** A Nix expression whose value is the JSON text of a value. */
export function jsonText(value: unknown): string {
  // In JSON, the characters that are escaped here occur only within strings.
  const ascii = JSON.stringify(value).replace(/[^ -~]|\$/g, (character) => {
    const hex = character.charCodeAt(0).toString(16).padStart(4, '0')
    return `\\u${hex}`
  })
  return `"${ascii.replace(/["\\]/g, String.raw`\$&`)}"`
}

/**
 * Binds evaluator.nix for one package set to a name. It is evaluated on first use.
 * @param expression the text of evaluator.nix, which is put into the store, where restricted evaluation can read it
 */
export const lineOfSet = (expression: string, identity: unknown): string =>
  `answer = import (builtins.toFile "evaluator.nix" (builtins.fromJSON ${jsonText(expression)})) ${jsonText(identity)}\n`

/**
 * A request, followed by a command that prints an end marker whether the request succeeds or not. Some versions echo
 * their input, so neither `endOf` nor the start of an answer may occur in these lines. The end marker is sent twice: after
 * an unexpected end of a broken file, Nix 2.8 reads the next line as a continuation, which a command ends.
 * @param mark a random text of letters, digits and "-", new for each request
 */
export const linesOfRequest = (mark: string, request: unknown): string => {
  const end = `:p "end of " + "${mark}"\n`
  return `answer "${mark}" ${jsonText(request)}\n${end}${end}`
}

/** The end marker of a request on standard output. */
export const endOf = (mark: string): string => `end of ${mark}`

/**
 * The JSON text of a request's answer; undefined if the evaluation failed.
 * @throws an Error if the output is not in the format of evaluator.nix
 */
export function answerIn(output: string, mark: string): string | undefined {
  const [begin, end] = [`<${mark}>`, `</${mark}>`]
  const from = output.indexOf(begin)
  if (from === -1) return undefined
  const to = output.indexOf(end, from)
  if (to === -1) throw new Error('the answer of a Nix process has no end')
  // A printed Nix string is also a JSON string: without "$", only \\, \", \n, \r and \t are escaped.
  const text: unknown = JSON.parse(`"${output.slice(from + begin.length, to)}"`)
  return String(text)
}
