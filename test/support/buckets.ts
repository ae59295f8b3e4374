import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePrograms } from '../../scripts/install.ts'
import type { GcsOptions } from '../../src/store/gcs-client.ts'
import type { RemoteService } from '../../src/store/testing.ts'
import type { S3Options } from '../../src/store/s3-client.ts'
import { cephService } from './ceph-service.ts'
import { startCeph, type Ceph, type CephOptions } from './ceph.ts'
import { gcsService } from './gcs-service.ts'
import { startGcs, type Gcs } from './gcs.ts'

/** The supported kinds of buckets. */
export const kinds = ['S3', 'Google Cloud Storage'] as const

/** Object storage services with their data in a temporary folder. */
export type Buckets = {
  readonly folder: string
  readonly ceph: Ceph
  readonly gcs: Gcs
  readonly services: Readonly<Record<(typeof kinds)[number], RemoteService>>
  /** Default options for opening a store over a bucket. */
  s3Options(bucket: string, options?: Partial<S3Options>): S3Options
  gcsOptions(bucket: string, options?: Partial<GcsOptions>): GcsOptions
  stop(): Promise<void>
}

/**
 * Starts the services. Installs Ceph if it is missing.
 * @param ofCeph the options of Ceph
 * @throws SETUP_FAILED if Ceph cannot be installed
 */
export async function startBuckets(ofCeph: CephOptions = {}): Promise<Buckets> {
  await ensurePrograms(['ceph-mon', 'ceph-osd', 'radosgw', 'ceph'], () => {})
  const folder = await mkdtemp(join(tmpdir(), 'nixery-buckets-'))
  const inside = async (name: string) => {
    await mkdir(join(folder, name))
    return join(folder, name)
  }
  const ceph = await startCeph(await inside('ceph'), ofCeph).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  const gcs = await startGcs(await inside('gcs'))
  // Google's SDK reads the key file from here.
  process.env['GOOGLE_APPLICATION_CREDENTIALS'] = gcs.account.keyFile

  const common = () => ({ spoolDirectory: join(folder, `spool-${randomUUID()}`), timeout: 20 })
  const s3Options: Buckets['s3Options'] = (bucket, options = {}) => ({
    bucket,
    endpoint: ceph.endpoint,
    region: 'us-east-1',
    credentials: ceph,
    pathStyle: true,
    linkExpiration: 300,
    ...common(),
    ...options,
  })
  const gcsOptions: Buckets['gcsOptions'] = (bucket, options = {}) => ({
    bucket,
    endpoint: gcs.endpoint,
    keyFile: gcs.account.keyFile,
    redirect: true,
    longestDelay: 1,
    ...common(),
    ...options,
  })
  return {
    folder,
    ceph,
    gcs,
    services: { S3: cephService(ceph, s3Options), 'Google Cloud Storage': gcsService(gcs, gcsOptions) },
    s3Options,
    gcsOptions,
    async stop() {
      await ceph.stop()
      await gcs.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
