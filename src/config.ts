import { join } from 'node:path'
import { z } from 'zod'
import { NixeryError } from './errors.ts'
import { defaultFolders, defaultSource } from './config/folders.ts'
import { accessProblems } from './config/access.ts'
import { schema, settingGroups } from './config/all-settings.ts'
import { readSets } from './config/sets-file.ts'
import { variablesOf, type NamedSet } from './config/sets.ts'
import { unknownVariables } from './config/unknown.ts'
import { flag } from './config/values.ts'

/** Everything that can be configured, with defaults filled in. Folders are absolute, times in seconds. */
export type Config = z.infer<typeof schema> & {
  readonly NIXERY_HOST: string
  readonly STORAGE_PATH: string
  readonly NIXERY_DATA: string
  readonly NIXERY_CACHE: string
  /** The package sets, if they are named. */
  readonly sets?: readonly NamedSet[] | undefined
}

const sources = [
  'NIXERY_SETS',
  'NIXERY_SETS_FILE',
  'NIXERY_CHANNEL',
  'NIXERY_PKGS_REPO',
  'NIXERY_PKGS_PATH',
  'NIXERY_FLAKE',
] as const

/** The names of all settings. */
export const settingNames: readonly string[] = Object.keys(schema.shape)

/**
 * Reads the configuration from environment variables; an empty one counts as not set.
 * @throws CONFIG_INVALID with every problem at once
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const set = { ...impliedSettings(given), ...given }
  const parsed = schema.safeParse(set)
  const problems = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  const { refused, warnings } = unknownVariables(set, settingNames)
  const sets = parsed.success ? readSets(parsed.data, problems) : undefined
  const configured = sources.some((name) => set[name] !== undefined)
  const host = set['NIXERY_HOST'] ?? (configured ? '0.0.0.0' : '127.0.0.1')
  problems.push(...contradictions(set, sets), ...accessProblems(set, host), ...refused)
  if (!parsed.success || problems.length > 0) {
    // Report all problems at once.
    problems.push(...warnings)
    throw new NixeryError('CONFIG_INVALID', `the configuration is not valid:\n  ${problems.join('\n  ')}`)
  }
  const config = parsed.data
  const folders = defaultFolders(set)
  const data = config.NIXERY_DATA ?? folders.data
  return Object.freeze({
    ...config,
    ...(sets && { sets }),
    NIXERY_HOST: host,
    NIXERY_DATA: data,
    NIXERY_CACHE: config.NIXERY_CACHE ?? folders.cache,
    STORAGE_PATH: config.STORAGE_PATH ?? join(data, 'store'),
  })
}

/** What is wrong with the value of a setting, taken alone; undefined if it is valid. */
export function settingProblem(name: keyof typeof schema.shape, value: string): string | undefined {
  const { error } = schema.shape[name].safeParse(value)
  return error?.issues[0]?.message
}

/** Settings that have another default because no package source is set. */
export const impliedSettings = (
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> => (sources.some((name) => environment[name]) ? {} : defaultSource())

/** A line for each variable that looks like a setting and has no effect. */
export const configWarnings = (
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] => unknownVariables(environment, settingNames).warnings

const flags: ReadonlySet<string> = new Set(['NIXERY_ALLOW_UNFREE', 'NIXERY_ALLOW_BROKEN'])

/** Problems that depend on several variables. */
function contradictions(
  set: Readonly<Record<string, string | undefined>>,
  sets: readonly NamedSet[] | undefined,
): string[] {
  const problems: string[] = []
  const named = sources.filter((name) => set[name] !== undefined)
  if (named.length > 1) problems.push(`${named.join(', ')}: packages can come from one of these only`)
  const backend = set['NIXERY_STORAGE_BACKEND']
  if (backend === 'gcs' && set['GCS_BUCKET'] === undefined)
    problems.push('GCS_BUCKET: is needed for the backend gcs')
  if (backend === 'gcs' && set['STORAGE_EMULATOR_HOST'] !== undefined) {
    problems.push('STORAGE_EMULATOR_HOST: misleads Google’s SDK; use GCS_ENDPOINT')
  }
  if (backend === 's3' && set['S3_BUCKET'] === undefined)
    problems.push('S3_BUCKET: is needed for the backend s3')
  if (set['NIXERY_SENDFILE'] !== undefined && backend !== undefined && backend !== 'filesystem') {
    problems.push('NIXERY_SENDFILE: is for the backend filesystem')
  }
  if ((set['NIXERY_TLS_CERT'] === undefined) !== (set['NIXERY_TLS_KEY'] === undefined)) {
    problems.push('NIXERY_TLS_CERT, NIXERY_TLS_KEY: are needed together')
  }
  if ((set['S3_ACCESS_KEY'] === undefined) !== (set['S3_SECRET_KEY'] === undefined)) {
    problems.push('S3_ACCESS_KEY, S3_SECRET_KEY: are needed together')
  }
  if (set['NIXERY_FLAKE'] !== undefined) {
    const isGiven = (name: string) => {
      const value = set[name]
      return value !== undefined && !(flags.has(name) && flag.safeParse(value).data === false)
    }
    const without = [...flags, 'NIXERY_NIXPKGS_CONFIG', 'NIXERY_OVERLAYS'].filter(isGiven)
    if (without.length > 0) {
      problems.push(`${without.join(', ')}: has no effect on NIXERY_FLAKE; the flake itself must apply it`)
    }
  }
  if (
    set['NIXERY_CREATED'] === 'revision' &&
    ![...(sets?.map(({ source }) => variablesOf(source)) ?? [set])].every(isOfCommit)
  ) {
    problems.push(
      'NIXERY_CREATED=revision: needs packages of a known commit: NIXERY_PKGS_REPO, a NIXERY_FLAKE in a git repository, or a full commit as NIXERY_CHANNEL without NIXERY_CHANNEL_TAGS; of several package sets, each has to be of one of these kinds',
    )
  }
  const role = set['NIXERY_ROLE'] ?? 'all'
  if (role !== 'all' && set['NIXERY_DATABASE_URL'] === undefined) {
    problems.push(`NIXERY_ROLE=${role}: needs NIXERY_DATABASE_URL`)
  }
  if (set['NIXERY_DATABASE_DIRECT_URL'] !== undefined && set['NIXERY_DATABASE_URL'] === undefined) {
    problems.push('NIXERY_DATABASE_DIRECT_URL: has no effect without NIXERY_DATABASE_URL')
  }
  if (set['NIXERY_SHARED_CACHE_KEY'] !== undefined && set['NIXERY_SHARED_CACHE'] === undefined) {
    problems.push('NIXERY_SHARED_CACHE_KEY: has no effect without NIXERY_SHARED_CACHE')
  }
  const passed = (set['NIXERY_NIX_ENV'] ?? '').split(/[\s,]+/).filter((name) => name in schema.shape)
  if (passed.length > 0) {
    problems.push(`NIXERY_NIX_ENV: cannot pass ${passed.join(', ')}, settings of this program`)
  }
  return problems
}

/** Whether every valid tag means a commit. */
function isOfCommit(set: Readonly<Record<string, string | undefined>>): boolean {
  const { NIXERY_CHANNEL: channel, NIXERY_PKGS_REPO: repository, NIXERY_FLAKE: flake } = set
  if (channel !== undefined) return /^[0-9a-f]{40}$/.test(channel) && set['NIXERY_CHANNEL_TAGS'] === undefined
  if (flake !== undefined) return /^(github|gitlab|sourcehut|git(\+(https?|ssh|file))?):/.test(flake)
  return repository !== undefined
}

/** A setting, for the documentation and `nixery config`. */
export type Variable = {
  readonly name: string
  /** The heading under which it is documented. */
  readonly group: string
  /** The format of its value: `a port (0 to 65535)`. */
  readonly form: string
  /** As written in the environment; empty if there is none, or if it depends on other settings. */
  readonly default: string
  readonly meaning: string
  /** Whether its value is never shown. */
  readonly secret: boolean
}

export const variables = (): Variable[] =>
  Object.entries(settingGroups).flatMap(([group, settings]) =>
    Object.entries<z.ZodType>(settings).map(([name, type]) => ({
      name,
      group,
      form: formOf(type),
      default: defaultOf(type),
      meaning: type.description ?? '',
      secret: type.meta()?.['secret'] === true,
    })),
  )

/** The format stated by the type, or by its inner type if it is optional or has a default. */
function formOf(type: z.ZodType): string {
  const form = type.meta()?.['form']
  if (typeof form === 'string') return form
  const isWrapper =
    type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault
  return isWrapper ? formOf(type.unwrap() as z.ZodType) : ''
}

/** A default as written in the environment. */
function defaultOf(type: z.ZodType): string {
  const value: unknown =
    type instanceof z.ZodPrefault || type instanceof z.ZodDefault ? type.def.defaultValue : undefined
  return typeof value === 'object' || value === undefined ? '' : `${value as string | number | boolean}`
}
