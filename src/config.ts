import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { NixeryError } from './errors.ts'
import { defaultMaxLayers } from './layers/plan.ts'

const seconds = z.coerce
  .number()
  .int()
  .min(1)
  .max(7 * 24 * 3600)
const folder = z
  .string()
  .min(1)
  .transform((path) => resolve(path))

const schema = z.object({
  PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(8080)
    .describe('TCP port to listen on; 0 for a free one'),
  NIXERY_HOST: z
    .string()
    .min(1)
    .optional()
    .describe('address to listen on; all interfaces if packages are configured, else 127.0.0.1'),
  NIXERY_PKGS_PATH: folder
    .optional()
    .describe(
      'package set: a folder whose default.nix is a function from { system, ... } to an attribute set',
    ),
  NIXERY_TAGS: z
    .enum(['latest', 'any'])
    .default('latest')
    .describe('tags of a package set in a folder: only `latest`, or `any`, ignored, as in the original'),
  NIXERY_STORAGE_BACKEND: z.literal('filesystem').default('filesystem').describe('where blobs are kept'),
  STORAGE_PATH: folder.optional().describe('folder of the filesystem store; under NIXERY_DATA if not set'),
  NIXERY_DATA: folder
    .optional()
    .describe(
      'folder of the catalog, of garbage collector roots and of the demo package set; the user’s data folder if not set',
    ),
  NIXERY_CACHE: folder
    .optional()
    .describe('folder of what can be fetched again; the user’s cache folder if not set'),
  NIX_TIMEOUT: seconds.default(60).describe('seconds that one builder of Nix may run'),
  NIXERY_BUILD_TIMEOUT: seconds.default(3600).describe('seconds that all building for one image may take'),
  NIXERY_EVAL_TIMEOUT: seconds.default(120).describe('seconds that one evaluation may take'),
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
    .describe('layers of store paths in an image; one of links is added'),
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

// Known of the original; to accept them in silence would be to serve something else than was meant.
const notYet = ['NIXERY_CHANNEL', 'NIXERY_PKGS_REPO', 'GCS_BUCKET', 'S3_BUCKET', 'NIX_POPULARITY_URL']

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
  for (const name of notYet) if (set[name] !== undefined) problems.push(`${name}: is not supported yet`)
  if (!parsed.success || problems.length > 0) {
    throw new NixeryError('CONFIG_INVALID', `the configuration is not valid:\n  ${problems.join('\n  ')}`)
  }
  const config = parsed.data
  const data = config.NIXERY_DATA ?? join(set['XDG_DATA_HOME'] ?? join(homedir(), '.local/share'), 'nixery')
  return Object.freeze({
    ...config,
    NIXERY_HOST: config.NIXERY_HOST ?? (config.NIXERY_PKGS_PATH === undefined ? '127.0.0.1' : '0.0.0.0'),
    NIXERY_DATA: data,
    NIXERY_CACHE: config.NIXERY_CACHE ?? join(set['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nixery'),
    STORAGE_PATH: config.STORAGE_PATH ?? join(data, 'store'),
  })
}

/** Name, default and meaning of each variable, for documentation. */
export const variables = (): { name: string; default: string; meaning: string }[] =>
  Object.entries(schema.shape).map(([name, type]) => {
    const parsed = type.safeParse(undefined)
    return {
      name,
      default: parsed.success && parsed.data !== undefined ? String(parsed.data) : '',
      meaning: type.description ?? '',
    }
  })
