import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { NixeryError } from './errors.ts'
import { defaultMaxLayers } from './layers/plan.ts'
import { parseGoDuration } from './store/go-duration.ts'

const seconds = z.coerce
  .number()
  .int()
  .min(1)
  .max(7 * 24 * 3600)
const folder = z
  .string()
  .min(1)
  .transform((path) => resolve(path))
const text = z.string().min(1)
const flag = z.stringbool()
const list = text.transform((value) => value.split(/[\s,]+/).filter((item) => item !== ''))
const pattern = text.transform((value, context) => {
  try {
    return new RegExp(`^(?:${value})$`)
  } catch {
    context.addIssue('is no regular expression')
    return z.NEVER
  }
})
const duration = text.transform((value, context) => {
  const parsed = parseGoDuration(value)
  if (parsed !== undefined && parsed >= 1) return parsed
  context.addIssue('must be a duration of at least a second, such as 5m or 1h30m')
  return z.NEVER
})

const schema = z.object({
  PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(8080)
    .describe('TCP port to listen on; 0 for a free one'),
  NIXERY_HOST: text
    .optional()
    .describe('address to listen on; all interfaces if packages are configured, else 127.0.0.1'),

  NIXERY_CHANNEL: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'is no name of a channel, branch, tag or commit')
    .optional()
    .describe('packages: a channel, branch, tag or commit of nixpkgs, such as `nixos-unstable`'),
  NIXERY_CHANNEL_URL: z
    .string()
    .regex(/^https?:\/\/.*\{channel\}/, 'must be an http address with {channel} in it')
    .default('https://github.com/NixOS/nixpkgs/archive/{channel}.tar.gz')
    .describe('address of a channel’s tarball; `{channel}` stands for its name'),
  NIXERY_CHANNEL_TAGS: pattern
    .optional()
    .describe('regular expression of tags that name another channel; full commits always may'),
  NIXERY_PKGS_REPO: text
    .optional()
    .describe(
      'packages: address of a git repository; an image’s tag is a branch, tag or commit, `latest` its HEAD',
    ),
  NIXERY_PKGS_PATH: folder
    .optional()
    .describe('packages: a folder whose default.nix is a function from { system, ... } to an attribute set'),
  NIXERY_FLAKE: text.optional().describe('packages: a flake; an image’s tag, if not `latest`, is its ref'),
  NIXERY_TAGS: z
    .enum(['latest', 'any'])
    .default('latest')
    .describe(
      'tags that mean nothing to the packages: unknown but for `latest`, or `any`, ignored, as in the original',
    ),
  NIXERY_PIN_TTL: seconds
    .default(3600)
    .describe('seconds for which a channel, branch or tag keeps its meaning'),
  NIXERY_ALLOW_UNFREE: flag.default(false).describe('whether nixpkgs gives packages with an unfree licence'),
  NIXERY_ALLOW_BROKEN: flag
    .default(false)
    .describe('whether nixpkgs gives packages that are marked as broken'),
  NIXERY_OVERLAYS: list
    .default([])
    .describe('files with overlays for nixpkgs, separated by spaces or commas'),
  NIXERY_ALLOW: list
    .default([])
    .describe('attributes that images may have, with `*` for anything; all if not set'),
  NIXERY_DENY: list.default([]).describe('attributes that images may not have, with `*` for anything'),

  NIXERY_PLATFORMS: list
    .pipe(z.array(z.enum(['amd64', 'arm64'])).min(1))
    .prefault('amd64')
    .describe(
      'platforms of a name that says none: the first, or an index of all for clients that take one, such as `amd64,arm64`',
    ),

  NIX_TIMEOUT: seconds.default(60).describe('seconds that one builder of Nix may run'),
  NIXERY_BUILD_TIMEOUT: seconds.default(3600).describe('seconds that all building for one image may take'),
  NIXERY_EVAL_TIMEOUT: seconds
    .default(120)
    .describe('seconds that one evaluation, or fetching packages, may take'),
  NIXERY_NIX_JOBS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(2)
    .describe('evaluations, and realisations, that run at once'),

  NIXERY_MAX_LAYERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(120)
    .default(defaultMaxLayers)
    .describe('layers of store paths in an image; one of links is added. Docker can mount 125'),
  NIX_POPULARITY_URL: text
    .optional()
    .describe('http, https or file address of popularity data, made by `nixery popcount`'),
  NIXERY_POPULARITY_REFRESH: seconds
    .default(3600)
    .describe('seconds from one reading of the popularity data to the next'),

  NIXERY_STORAGE_BACKEND: z
    .enum(['filesystem', 'gcs', 's3'])
    .default('filesystem')
    .describe('where blobs are kept: `filesystem`, `gcs` or `s3`'),
  STORAGE_PATH: folder.optional().describe('folder of the filesystem store; under NIXERY_DATA if not set'),
  GCS_BUCKET: text.optional().describe('bucket in Google Cloud Storage'),
  GCS_ENDPOINT: z
    .url()
    .optional()
    .describe('address of a service that speaks Google Cloud Storage’s protocol'),
  GOOGLE_APPLICATION_CREDENTIALS: folder
    .optional()
    .describe(
      'key of a service account; it signs the addresses that clients are sent to, which are public without',
    ),
  S3_BUCKET: text.optional().describe('bucket in S3, or a service that speaks its protocol'),
  S3_ENDPOINT: z.url().optional().describe('address of that service; AWS’s if not set'),
  AWS_REGION: text.default('us-east-1').describe('region of the bucket'),
  S3_ACCESS_KEY: text.optional().describe('key for the bucket; AWS’s own chain of credentials if not set'),
  S3_SECRET_KEY: text.optional().describe('secret of the key'),
  S3_PATH_STYLE: flag.default(true).describe('whether the bucket stands in the path of an address'),
  S3_LINK_EXPIRATION: duration.prefault('5m').describe('how long an address works that a client was sent to'),
  NIXERY_REDIRECT: z
    .enum(['on', 'off'])
    .default('on')
    .describe('`on` sends clients to the bucket for blobs, `off` streams blobs through'),
  NIXERY_STORE_TIMEOUT: seconds.default(20).describe('seconds within which a bucket must answer'),

  NIXERY_DATA: folder
    .optional()
    .describe(
      'folder of the catalog, of garbage collector roots and of the demo packages; the user’s data folder if not set',
    ),
  NIXERY_CACHE: folder
    .optional()
    .describe('folder of what can be fetched again; the user’s cache folder if not set'),
  NIXERY_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('least level of log lines'),
})

/** Everything that can be configured, with defaults filled in. Folders are absolute, times in seconds. */
export type Config = z.infer<typeof schema> & {
  readonly NIXERY_HOST: string
  readonly STORAGE_PATH: string
  readonly NIXERY_DATA: string
  readonly NIXERY_CACHE: string
}

const sources = ['NIXERY_CHANNEL', 'NIXERY_PKGS_REPO', 'NIXERY_PKGS_PATH', 'NIXERY_FLAKE'] as const

/**
 * Reads the configuration from environment variables; an empty one counts as not set.
 * @throws CONFIG_INVALID with every problem at once
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const set = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const parsed = schema.safeParse(set)
  const problems = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  problems.push(...contradictions(set))
  if (!parsed.success || problems.length > 0) {
    throw new NixeryError('CONFIG_INVALID', `the configuration is not valid:\n  ${problems.join('\n  ')}`)
  }
  const config = parsed.data
  const home = homedir()
  const data = config.NIXERY_DATA ?? resolve(set['XDG_DATA_HOME'] ?? join(home, '.local/share'), 'nixery')
  const configured = sources.some((name) => config[name] !== undefined)
  return Object.freeze({
    ...config,
    NIXERY_HOST: config.NIXERY_HOST ?? (configured ? '0.0.0.0' : '127.0.0.1'),
    NIXERY_DATA: data,
    NIXERY_CACHE: config.NIXERY_CACHE ?? resolve(set['XDG_CACHE_HOME'] ?? join(home, '.cache'), 'nixery'),
    STORAGE_PATH: config.STORAGE_PATH ?? join(data, 'store'),
  })
}

/** What no variable says by itself. */
function contradictions(set: Readonly<Record<string, string | undefined>>): string[] {
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
  if ((set['S3_ACCESS_KEY'] === undefined) !== (set['S3_SECRET_KEY'] === undefined)) {
    problems.push('S3_ACCESS_KEY, S3_SECRET_KEY: are needed together')
  }
  return problems
}

/** Name, default and meaning of each variable, for documentation. */
export const variables = (): { name: string; default: string; meaning: string }[] =>
  Object.entries(schema.shape).map(([name, type]) => ({
    name,
    default: defaultOf(type),
    meaning: type.description ?? '',
  }))

/** A default as it would be written in the environment. */
function defaultOf(type: z.ZodType): string {
  const value: unknown =
    type instanceof z.ZodPrefault || type instanceof z.ZodDefault ? type.def.defaultValue : undefined
  return typeof value === 'object' || value === undefined ? '' : `${value as string | number | boolean}`
}
