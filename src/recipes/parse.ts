import { closest, distance } from 'fastest-levenshtein'
import { parse as parseToml, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { positionInJson, positionInToml, type FieldPath, type Position } from './positions.ts'
import { fieldNames, innerNames, recipeSchema, type WrittenRecipe } from './schema.ts'

/** A problem in a recipe: the field, the position in the file, the problem, and what to do. */
export type Problem = {
  readonly recipe: string
  readonly field?: string | undefined
  readonly message: string
  /** The file, and the position in it. */
  readonly file?: string | undefined
  readonly position?: Position | undefined
}

export type ParseResult =
  | { readonly ok: true; readonly written: WrittenRecipe }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export type Format = 'toml' | 'json'

/** `web.toml:3:1: recipe web: workDir: unknown field: did you mean workdir?` */
export function formatProblem({ recipe, field, message, file, position }: Problem): string {
  const at = position ? `:${position.line}:${position.column}` : ''
  const where = file === undefined ? '' : `${file}${at}: `
  return `${where}recipe ${recipe}: ${field === undefined ? '' : `${field}: `}${message}`
}

// The maximum number of problems reported for one recipe.
const mostProblems = 20

/** Reads the text of a recipe. Pure; never throws. */
export function parseRecipe(recipe: string, text: string, format: Format): ParseResult {
  const document = documentOf(text, format)
  if ('problem' in document) return { ok: false, problems: [{ recipe, ...document.problem }] }
  const checked = checkRecipe(recipe, document.value)
  if (checked.ok) return checked
  const problems = checked.problems.map(({ path, ...problem }) => ({
    ...problem,
    position: positionOfField(text, format, path),
  }))
  return { ok: false, problems }
}

type Document = { readonly value: unknown } | { readonly problem: Omit<Problem, 'recipe'> }

function documentOf(text: string, format: Format): Document {
  try {
    return { value: format === 'toml' ? parseToml(text) : (JSON.parse(text) as unknown) }
  } catch (error) {
    const message = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
    if (error instanceof TomlError) {
      const { line, column } = error
      return {
        problem: {
          message: message.replace(/^Invalid TOML document: /, 'not valid TOML: '),
          position: { line, column },
        },
      }
    }
    const [, line = '1', column = '1'] = /line (\d+) column (\d+)/.exec(message) ?? []
    return {
      problem: {
        message: `not valid JSON: ${message.replace(/ \(line.*/, '')}`,
        position: { line: Number(line), column: Number(column) },
      },
    }
  }
}

/** The value of a document; undefined if it is not valid. */
export function valueOf(text: string, format: Format): unknown {
  const document = documentOf(text, format)
  return 'value' in document ? document.value : undefined
}

/** The position of a field in a valid document, or of the field that contains it. */
export function positionOfField(text: string, format: Format, path: FieldPath): Position | undefined {
  const find = format === 'toml' ? positionInToml : positionInJson
  for (let length = path.length; length > 0; length -= 1) {
    const position = find(text, path.slice(0, length))
    if (position) return position
  }
  return undefined
}

type FieldProblem = Problem & { readonly path: FieldPath }
type Checked =
  | { readonly ok: true; readonly written: WrittenRecipe }
  | { readonly ok: false; readonly problems: readonly FieldProblem[] }

/** Checks a parsed recipe. */
export function checkRecipe(recipe: string, value: unknown): Checked {
  const parsed = recipeSchema.safeParse(value)
  if (parsed.success) return { ok: true, written: parsed.data }
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue)).slice(0, mostProblems)
  return {
    ok: false,
    problems: problems.map(({ path, message }) => ({ recipe, field: fieldText(path), message, path })),
  }
}

type At = { readonly path: FieldPath; readonly message: string }

function problemsOf(issue: z.core.$ZodIssue): At[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownField(path, key) }))
  }
  if (issue.code === 'invalid_type' && path.length === 0)
    return [{ path, message: 'must be a table of fields' }]
  const isMissing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined')
  return [{ path, message: isMissing ? 'is missing' : issue.message }]
}

/** Fields of other programs that users may expect here. */
const elsewhere: Readonly<Record<string, string>> = {
  extraCommands:
    'is not a field: commands are a derivation in the package set (docs/recipes.md has an example)',
  fakeRootCommands: 'is not a field: `files` and `accounts` have owners and modes',
  run: 'is not a field: commands are a derivation in the package set (docs/recipes.md has an example)',
  device: 'is not a field: images cannot have device files; give the device to the container',
}

function unknownField(path: FieldPath, key: string): string {
  const known = path.length === 0 ? fieldNames : (innerNames[String(path[0])] ?? [])
  const hint = elsewhere[key]
  if (hint !== undefined) return hint
  const near = known.length > 0 ? closest(key.toLowerCase(), [...known]) : ''
  const isNear = near !== '' && distance(key.toLowerCase(), near.toLowerCase()) <= Math.max(2, key.length / 2)
  return `unknown field${isNear ? `: did you mean ${near}?` : `; fields are ${known.join(', ')}`}`
}

/** `files[0].mode`; undefined for the recipe as a whole. */
const fieldText = (path: FieldPath): string | undefined =>
  path.length === 0
    ? undefined
    : path
        .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`))
        .join('')
