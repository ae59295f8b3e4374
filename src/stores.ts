import { join } from 'node:path'
import type { Config } from './config.ts'
import { openFileStore } from './store/fs.ts'
import type { BlobStore } from './store/store.ts'

/** The store that the configuration names; a backend's SDK is loaded only for it. */
export async function openStore(config: Config): Promise<BlobStore> {
  const redirect = config.NIXERY_REDIRECT === 'on'
  const spoolDirectory = join(config.NIXERY_DATA, 'spool')
  const timeout = config.NIXERY_STORE_TIMEOUT
  switch (config.NIXERY_STORAGE_BACKEND) {
    case 'filesystem':
      return openFileStore(config.STORAGE_PATH)
    case 'gcs': {
      const { openGcsStore } = await import('./store/gcs.ts')
      return openGcsStore({
        bucket: config.GCS_BUCKET ?? '',
        endpoint: config.GCS_ENDPOINT,
        keyFile: config.GOOGLE_APPLICATION_CREDENTIALS,
        redirect,
        spoolDirectory,
        timeout,
        longestDelay: 10,
      })
    }
    case 's3': {
      const { S3_ACCESS_KEY: accessKeyId, S3_SECRET_KEY: secretAccessKey } = config
      const { openS3Store } = await import('./store/s3.ts')
      return openS3Store({
        bucket: config.S3_BUCKET ?? '',
        endpoint: config.S3_ENDPOINT,
        region: config.AWS_REGION,
        credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
        pathStyle: config.S3_PATH_STYLE,
        linkExpiration: redirect ? config.S3_LINK_EXPIRATION : undefined,
        spoolDirectory,
        timeout,
      })
    }
  }
}

/** Where blobs are stored, as text for people. */
export function placeOfBlobs(config: Config): string {
  switch (config.NIXERY_STORAGE_BACKEND) {
    case 'filesystem':
      return config.STORAGE_PATH
    case 's3':
      return `the S3 bucket ${config.S3_BUCKET}`
    case 'gcs':
      return `the Google Cloud Storage bucket ${config.GCS_BUCKET}`
  }
}
