import { resolve } from 'node:path'
import { isLeading } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import { folder, valueOf } from './values.ts'

/** The source of a package set, such as `channel:nixos-25.11`. */
export type SetSource = {
  readonly kind: SetKind
  /** The name of a channel, the URL of a repository, a folder, or a flake reference. */
  readonly place: string
}

/** One of several package sets. */
export type NamedSet = {
  readonly name: string
  readonly source: SetSource
  /** Settings of this set; for others, the server's apply. */
  readonly own?: Partial<OwnSettings>
}

/** The settings of a single package set. */
export type OwnSettings = {
  readonly NIXERY_ALLOW: string[]
  readonly NIXERY_DENY: string[]
  readonly NIXERY_PLATFORMS: Platform['architecture'][]
  readonly NIXERY_REFS: string[]
  readonly NIXERY_RECIPES: string
  readonly NIXERY_NIXPKGS_CONFIG: string
  readonly NIXERY_OVERLAYS: string[]
}

export const kinds = ['channel', 'git', 'path', 'flake'] as const
export type SetKind = (typeof kinds)[number]

/** The maximum number of package sets of a server: each is fetched and evaluated separately. */
export const mostSets = 16

const setName = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/
const mostLetters = 40

/** The rule for names of package sets, for messages. */
export const setNameRule = 'a-z, 0-9, single hyphens; no reserved word such as shell'

/** Whether a package set may have this name: it is the first part of image names. */
export const isSetName = (name: string): boolean =>
  setName.test(name) && name.length <= mostLetters && !isLeading(name)

/**
 * Parses `git:https://…`.
 * @param base the folder for relative paths; by default, the working directory
 * @returns undefined if the kind is unknown or the location is missing
 */
export function parseSetSource(text: string, base = ''): SetSource | undefined {
  const [, word = '', place = ''] = /^([a-z]+):(.+)$/s.exec(text) ?? []
  const kind = kinds.find((each) => each === word)
  if (kind === undefined) return undefined
  if (kind === 'channel' && !/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(place)) return undefined
  return { kind, place: kind === 'path' ? resolve(base, place) : place }
}

function parseSets(text: string): NamedSet[] | undefined {
  const sets: NamedSet[] = []
  for (const item of text.split(/[\s,]+/).filter(Boolean)) {
    const [, name = '', rest = ''] = /^([^=]*)=(.*)$/s.exec(item) ?? []
    const source = parseSetSource(rest)
    if (!source || !isSetName(name) || sets.some((other) => other.name === name)) return undefined
    sets.push({ name, source })
  }
  return sets.length > 0 && sets.length <= mostSets ? sets : undefined
}

export const setSettings = {
  NIXERY_SETS: valueOf(
    `a list of package sets, such as stable=channel:nixos-25.11,tools=git:https://… (at most ${mostSets}; kinds: ${kinds.join(', ')}; names: ${setNameRule})`,
    parseSets,
  )
    .optional()
    .describe(
      'several package sets, as `NAME=KIND:LOCATION` separated by commas, where KIND is `channel`, `git`, `path` or `flake`: the first is the default, `NAME/git` is a package of another one ([package sets](sets.md))',
    ),
  NIXERY_SETS_FILE: folder
    .optional()
    .describe(
      'several package sets, as a TOML file with a table `[set.NAME]` for each, which may have its own settings ([package sets](sets.md#a-file))',
    ),
}

/** Converts a source to the settings of a single package set. */
export const variablesOf = ({ kind, place }: SetSource): Readonly<Record<string, string>> => ({
  [variables[kind]]: place,
})

const variables = {
  channel: 'NIXERY_CHANNEL',
  git: 'NIXERY_PKGS_REPO',
  path: 'NIXERY_PKGS_PATH',
  flake: 'NIXERY_FLAKE',
} as const satisfies Readonly<Record<SetKind, string>>
