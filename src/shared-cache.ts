import { join } from 'node:path'
import type { Config } from './config.ts'
import { cacheOver } from './contents/cache/cache.ts'
import { narBytes } from './contents/cache/nar-writer.ts'
import { openRoom } from './contents/cache/open.ts'
import { parseTrustedKeys } from './contents/cache/signature.ts'
import { NixeryError } from './errors.ts'
import { openDecisions } from './fleet/decisions.ts'
import type { Postgres } from './postgres/pool.ts'
import type { SharedCacheAddress } from './sharing/address.ts'
import { firstCreated, firstRecorded } from './sharing/first.ts'
import { openSigningKey } from './sharing/key.ts'
import { createSharedCache, type SharedCache } from './sharing/shared-cache.ts'
import { objectsTransport } from './sharing/transport.ts'
import { folderObjects } from './store/folder-objects.ts'
import { bucketObjects, type Objects } from './store/objects.ts'

export type SharedCacheDeps = {
  /** Where the decision which bytes are used is stored, if there is a database. */
  readonly postgres: Postgres | undefined
  readonly spoolDirectory: string
  readonly note: (line: string) => void
}

const texts = { full: 'the shared binary cache is full', failed: 'the shared binary cache failed' }
const bucketVariable = 'NIXERY_SHARED_CACHE'
/** The maximum number of concurrent requests: a closure has hundreds of narinfos. */
const connections = 32
const aboutText = 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n'

/**
 * The binary cache that workers share; undefined if there is none.
 * @throws CONFIG_INVALID, STORE_UNAVAILABLE, STORE_FULL
 */
export async function openSharedCache(
  config: Config,
  { postgres, spoolDirectory, note }: SharedCacheDeps,
): Promise<SharedCache | undefined> {
  const { NIXERY_SHARED_CACHE: address, NIXERY_SHARED_CACHE_KEY: keyFile } = config
  if (!address) return undefined
  const key = await openSigningKey(
    keyFile ?? join(config.NIXERY_DATA, 'shared-cache.key'),
    keyFile !== undefined,
  )
  const objects = await openObjects(address, config)
  const decisions = postgres && (await openDecisions(postgres))
  await begin(objects, decisions !== undefined)
  const url = new URL(address.href)
  const name = address.href.slice(0, -1)
  note(`store paths are shared through ${name}, signed by ${key.publicText}`)
  return createSharedCache({
    cache: cacheOver(
      // Before all other caches, whatever their priorities.
      { url, name, priority: -1, trusted: false, authorization: undefined },
      objectsTransport(objects, url),
      { connections, lifetimes: { found: Infinity, missing: 0 } },
    ),
    objects,
    key,
    keys: parseTrustedKeys([...config.NIXERY_TRUSTED_KEYS, key.publicText]).keys,
    first: decisions ? firstRecorded(decisions, objects) : firstCreated(objects),
    read: narBytes,
    room: await openRoom({ spoolDirectory, spoolSize: config.NIXERY_CACHE_SPOOL }),
  })
}

async function openObjects(address: SharedCacheAddress, config: Config): Promise<Objects> {
  const timeout = config.NIXERY_STORE_TIMEOUT
  switch (address.kind) {
    case 'file':
      return folderObjects(address.folder, texts)
    case 's3': {
      const { S3_ACCESS_KEY: accessKeyId, S3_SECRET_KEY: secretAccessKey } = config
      const { openS3Bucket } = await import('./store/s3.ts')
      const bucket = await openS3Bucket({
        bucket: address.bucket,
        bucketVariable,
        endpoint: address.endpoint ?? config.S3_ENDPOINT,
        region: address.region ?? config.AWS_REGION,
        credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
        pathStyle: config.S3_PATH_STYLE,
        linkExpiration: undefined,
        timeout,
      })
      return bucketObjects(bucket, { timeout, texts })
    }
    case 'gs': {
      const { openGcsBucket } = await import('./store/gcs.ts')
      const bucket = await openGcsBucket({
        bucket: address.bucket,
        bucketVariable,
        endpoint: address.endpoint ?? config.GCS_ENDPOINT,
        keyFile: config.GOOGLE_APPLICATION_CREDENTIALS,
        redirect: false,
        longestDelay: 10,
        timeout,
      })
      return bucketObjects(bucket, { timeout, texts })
    }
  }
}

/** Makes it a binary cache, and finds out whether files are created only once. */
async function begin(objects: Objects, hasDatabase: boolean): Promise<void> {
  const create = () => objects.create('nix-cache-info', Buffer.from(aboutText), 'text/x-nix-cache-info')
  const isThere = !(await create())
  if (hasDatabase || isThere || !(await create())) return
  throw new NixeryError(
    'CONFIG_INVALID',
    'NIXERY_SHARED_CACHE: the bucket ignores conditional requests (If-None-Match), so two servers could not agree',
    { hint: 'use NIXERY_DATABASE_URL on all of them, or another service' },
  )
}
