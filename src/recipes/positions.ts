import { parse } from 'smol-toml'

/** A position in a text; line and column count from 1. */
export type Position = { readonly line: number; readonly column: number }

/** The path to a value: field names and list indexes. */
export type FieldPath = readonly (string | number)[]

/**
 * The position of a field in a valid TOML document. The parser does not report positions, so growing prefixes of the
 * text are parsed: the statement that defines the field is the first one with which the field exists.
 * @returns undefined if the document does not have the field
 */
export function positionInToml(text: string, path: FieldPath): Position | undefined {
  const lines = text.split('\n')
  // The statement begins after the last line up to which the text was valid.
  let start = 0
  for (let end = 1; end <= lines.length; end += 1) {
    const document = tomlOf(lines.slice(0, end).join('\n'))
    if (document === undefined) continue
    if (has(document, path)) return keyIn(lines, start, end, path)
    start = end
  }
  return undefined
}

function tomlOf(text: string): unknown {
  try {
    return parse(text)
  } catch {
    return undefined // in the middle of a statement
  }
}

function has(document: unknown, path: FieldPath): boolean {
  let value = document
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return false
    value = (value as Record<string, unknown>)[String(part)]
  }
  return true
}

/** The position of the last name of the path in the lines of a statement, or the statement's start. */
function keyIn(lines: readonly string[], start: number, end: number, path: FieldPath): Position {
  const name = path.findLast((part) => typeof part === 'string')
  const key = RegExp.escape(String(name))
  const pattern = new RegExp(`(^|[\\s{,.[])(?:${key}|"${key}"|'${key}')(?=\\s*[=.\\]])`)
  for (let index = start; index < end; index += 1) {
    const found = pattern.exec(lines[index] ?? '')
    if (found) return { line: index + 1, column: found.index + (found[1]?.length ?? 0) + 1 }
  }
  const first = lines.findIndex(
    (line, index) => index >= start && line.trim() !== '' && !line.startsWith('#'),
  )
  const begin = first === -1 || first >= end ? start : first
  return { line: begin + 1, column: (lines[begin]?.search(/\S/) ?? 0) + 1 }
}

const jsonToken = /\s*("(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+)/y

/** The position of a field in a valid JSON document; undefined if it does not have the field. */
export function positionInJson(text: string, path: FieldPath): Position | undefined {
  jsonToken.lastIndex = 0
  const next = () => {
    const found = jsonToken.exec(text)?.[1] ?? ''
    return { token: found, at: jsonToken.lastIndex - found.length }
  }
  let target: number | undefined
  /** Reads a value whose first token has been read. @param rest the path from here to the field */
  const read = (first: string, rest: FieldPath | undefined): void => {
    if (first !== '{' && first !== '[') return
    for (let index = 0; ; index += 1) {
      let item = next()
      if (item.token === ',') item = next()
      if (item.token === '}' || item.token === ']' || item.token === '') return
      const at = item.at
      const key: string | number = first === '{' ? (JSON.parse(item.token) as string) : index
      if (first === '{') {
        next()
        item = next()
      }
      const inside = rest !== undefined && rest[0] === key ? rest.slice(1) : undefined
      if (inside?.length === 0) target ??= at
      read(item.token, inside)
    }
  }
  read(next().token, path)
  return target === undefined ? undefined : positionOf(text, target)
}

/** The line and column of an offset. */
function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset).split('\n')
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}
