import { isDeepStrictEqual } from 'node:util'
import { positionOfField, valueOf, type Format } from './parse.ts'

/** The base in a recipe's text; undefined if it has none, or if the text is not valid. */
export function baseIn(text: string, format: Format): string | undefined {
  const base = fieldsOf(text, format)?.['base']
  return typeof base === 'string' ? base : undefined
}

/**
 * Replaces the base in the text of a recipe; everything else is preserved, including comments.
 * @returns undefined if the text of the base cannot be located reliably, for example because it contains escapes
 */
export function withBase(text: string, format: Format, base: string): string | undefined {
  const position = positionOfField(text, format, ['base'])
  if (!position) return undefined
  const lines = text.split('\n')
  const start =
    lines.slice(0, position.line - 1).reduce((sum, line) => sum + line.length + 1, 0) + position.column - 1
  const found =
    /^(?<before>(?:base|"base"|'base')\s*[=:]\s*)(?<quote>["'])(?<value>[^"'\\\n]*)\k<quote>/.exec(
      text.slice(start),
    )
  const { before = '', quote = '' } = found?.groups ?? {}
  if (!found) return undefined
  const changed = `${text.slice(0, start)}${before}${quote}${base}${quote}${text.slice(start + found[0].length)}`
  // Verify that nothing else has changed.
  const [old, fresh] = [fieldsOf(text, format), fieldsOf(changed, format)]
  return old && fresh && isDeepStrictEqual({ ...old, base }, { ...fresh }) ? changed : undefined
}

function fieldsOf(text: string, format: Format): Record<string, unknown> | undefined {
  const value = valueOf(text, format)
  return typeof value === 'object' && value !== null ? { ...value } : undefined
}
