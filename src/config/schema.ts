import { resolve } from 'node:path'
import { z } from 'zod'
import { compressionChoices } from '../layers/compressor.ts'
import { defaultMaxLayers } from '../layers/plan.ts'
import { parseImageReference } from '../image/name.ts'
import { parseGoDuration } from '../store/go-duration.ts'

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
const units: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 }
const size = text.transform((value, context) => {
  const groups = /^(?<count>\d+(?:\.\d+)?)\s*(?<unit>[KMGT]?)B?$/i.exec(value)?.groups
  const bytes = Number(groups?.['count']) * (units[(groups?.['unit'] ?? '').toUpperCase()] ?? NaN)
  if (Number.isFinite(bytes) && bytes >= 1) return Math.floor(bytes)
  context.addIssue('must be a size such as 500MB or 2TB, a thousand bytes to the kB')
  return z.NEVER
})
const duration = text.transform((value, context) => {
  const parsed = parseGoDuration(value)
  if (parsed !== undefined && parsed >= 1) return parsed
  context.addIssue('must be a duration of at least a second, such as 5m or 1h30m')
  return z.NEVER
})

const isImageReference = (name: string): boolean => {
  try {
    parseImageReference(name)
    return true
  } catch {
    return false
  }
}

/** Every variable with its type, its default and what it means; the source of docs/configuration.md. */
export const schema = z.object({
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

  NIXERY_WARM: list
    .refine((names) => names.every(isImageReference), 'has something that is no name of an image')
    .default([])
    .describe(
      'names of images, with tags if need be, that are made ready when the server starts and packages change',
    ),
  NIXERY_WARM_TOP: z.coerce
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(10)
    .describe(
      'how many of the images that are pulled most are made anew when packages change, before they are asked for',
    ),
  NIXERY_MAX_WAIT: seconds
    .optional()
    .describe(
      'seconds that a request waits for a build before it is told to come back; if not set, what its client bears',
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

  NIXERY_EVALUATOR: z
    .enum(['warm', 'cold'])
    .default('warm')
    .describe('`warm` keeps a Nix process with the packages loaded, `cold` starts one for each evaluation'),
  NIXERY_EVAL_MEMORY: z.coerce
    .number()
    .int()
    .min(64)
    .default(4096)
    .describe('megabytes of memory that an evaluation may take'),

  NIXERY_STRATEGY: z
    .enum(['stable', 'nixery'])
    .default('stable')
    .describe(
      'which store paths share a layer: `stable`, independent of the rest of the image, or `nixery`, the original’s way',
    ),
  NIXERY_MAX_LAYERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(120)
    .default(defaultMaxLayers)
    .describe('layers of store paths in an image; one of links is added. Docker can mount 125'),
  NIXERY_COMPRESSION: z
    .enum(compressionChoices)
    .default('auto')
    .describe(
      'what compresses layers: `libdeflate`, `gzip` (zlib), `igzip` (ISA-L), `zstd`, `none`, or `auto`, libdeflate where it is there and gzip where not; see compression.md',
    ),
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

  NIXERY_SENDFILE: z
    .string()
    .regex(/^\/[A-Za-z0-9._/-]*\/$/, 'must be the path of a location, such as /blobs/')
    .optional()
    .describe(
      'location of a front server that sends the files of the filesystem store itself (`X-Accel-Redirect`)',
    ),
  NIXERY_MAX_STREAMS: z.coerce
    .number()
    .int()
    .min(1)
    .default(512)
    .describe('blobs that are sent at once; who asks for more is told to come back'),
  NIXERY_KEEP: z.coerce
    .number()
    .min(0)
    .optional()
    .describe('days for which an image is kept after its last pull; for ever if not set'),
  NIXERY_STORE_LIMIT: size
    .optional()
    .describe('size of all blobs, such as `200GB`, above which images go that were not pulled for longest'),
  NIXERY_GC_INTERVAL: seconds
    .default(3600)
    .describe('seconds from one cleaning to the next, if NIXERY_KEEP or NIXERY_STORE_LIMIT is set'),
  NIXERY_CATALOG: z
    .enum(['on', 'off'])
    .default('off')
    .describe('whether `/v2/_catalog` tells the names of images that were made'),
  NIXERY_TLS_CERT: folder
    .optional()
    .describe('file with the certificate chain, in PEM, to serve HTTPS; read again when it changes'),
  NIXERY_TLS_KEY: folder.optional().describe('file with its key'),
  NIXERY_GRACE: seconds
    .default(10)
    .describe('seconds that running answers have to finish when the server is told to end'),

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
