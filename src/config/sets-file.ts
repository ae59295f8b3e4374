import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import { systemErrorCode } from '../errors.ts'
import type { Platform } from '../image/platform.ts'
import { isSetName, kinds, mostSets, parseSetSource, setNameRule, type NamedSet } from './sets.ts'
import { nearest } from './unknown.ts'

const texts = z.array(z.string().min(1))
const architectures = ['amd64', 'arm64'] as const satisfies readonly Platform['architecture'][]

/** The fields of `[set.NAME]`. */
const setForm = z.strictObject({
  source: z.string(),
  allow: texts.optional(),
  deny: texts.optional(),
  platforms: z.array(z.enum(architectures)).min(1).optional(),
  refs: z
    .array(z.string().regex(/^refs\/[\w./*+@-]+$/, 'is not the full name of a ref, such as refs/heads/*'))
    .optional(),
  recipes: z.string().min(1).optional(),
  config: z.string().min(1).optional(),
  overlays: texts.optional(),
})
const fileForm = z.strictObject({ set: z.record(z.string(), z.unknown()) })
const fields = Object.keys(setForm.shape)

/**
 * The configured package sets, if any.
 * @param problems receives a line for each problem in their file
 */
export function readSets(
  config: {
    readonly NIXERY_SETS?: readonly NamedSet[] | undefined
    readonly NIXERY_SETS_FILE?: string | undefined
  },
  problems: string[],
): readonly NamedSet[] | undefined {
  const { NIXERY_SETS: sets, NIXERY_SETS_FILE: file } = config
  if (file === undefined) return sets
  const refuse = (problem: string) => void problems.push(`NIXERY_SETS_FILE: ${file}${problem}`)
  try {
    return parseSetsFile(readFileSync(file, 'utf8'), dirname(file), (problem) => refuse(`, ${problem}`))
  } catch (error) {
    if (error instanceof TomlError)
      refuse(`, line ${error.line}, column ${error.column}: ${firstLine(error.message)}`)
    else
      problems.push(
        `NIXERY_SETS_FILE: ${shown(file)} is not a file that can be read: ${systemErrorCode(error) ?? String(error)}`,
      )
    return undefined
  }
}

const shown = (file: string): string => JSON.stringify(file.length > 80 ? `${file.slice(0, 80)}…` : file)
const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''

/**
 * Parses package sets from TOML, in the order of the file.
 * @param base the folder for relative paths
 * @param refuse receives a line for each problem
 * @throws TomlError if the text is not valid TOML
 */
export function parseSetsFile(
  text: string,
  base: string,
  refuse: (problem: string) => void,
): readonly NamedSet[] {
  const file = fileForm.safeParse(parse(text))
  const sets = file.data?.set ?? {}
  if (!file.success || Object.keys(sets).length === 0) {
    refuse('it must have a table [set.NAME] for each package set, and nothing else')
  }
  if (Object.keys(sets).length > mostSets) refuse(`there are more than ${mostSets} package sets`)
  return Object.entries(sets).flatMap(([name, given]) => {
    const set = setOf(name, given, base, (problem) => refuse(`[set.${name}]: ${problem}`))
    return set ? [set] : []
  })
}

function setOf(
  name: string,
  given: unknown,
  base: string,
  refuse: (problem: string) => void,
): NamedSet | undefined {
  if (!isSetName(name)) refuse(`a name has ${setNameRule}`)
  const parsed = setForm.safeParse(given)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      if (issue.code === 'unrecognized_keys') for (const key of issue.keys) refuse(unknownField(key))
      else refuse(`${issue.path.join('.')}: ${issue.message}`)
    }
    return undefined
  }
  const { source: text, allow, deny, platforms, refs, recipes, config, overlays } = parsed.data
  const source = parseSetSource(text, base)
  if (!source) {
    refuse(`source: must be a kind and a location, such as git:https://…; the kinds are ${kinds.join(', ')}`)
    return undefined
  }
  if (source.kind === 'flake' && (config !== undefined || overlays !== undefined)) {
    refuse('config, overlays: have no effect on a flake, which must apply them itself')
  }
  const here = (path: string) => resolve(base, path)
  const own = {
    ...(allow && { NIXERY_ALLOW: allow }),
    ...(deny && { NIXERY_DENY: deny }),
    ...(platforms && { NIXERY_PLATFORMS: platforms }),
    ...(refs && { NIXERY_REFS: refs }),
    ...(recipes !== undefined && { NIXERY_RECIPES: here(recipes) }),
    ...(config !== undefined && { NIXERY_NIXPKGS_CONFIG: here(config) }),
    ...(overlays && { NIXERY_OVERLAYS: overlays.map(here) }),
  }
  return { name, source, own }
}

function unknownField(key: string): string {
  const similar = nearest(key, fields, 2)
  return `${key}: unknown field${similar === undefined ? `; there are ${fields.join(', ')}` : `; did you mean ${similar}?`}`
}
