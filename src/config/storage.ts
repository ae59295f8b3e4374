import { duration, flag, folder, httpUrl, oneOf, seconds, text } from './values.ts'

/** The store of blobs. */
export const storageSettings = {
  NIXERY_STORAGE_BACKEND: oneOf('filesystem', 'gcs', 's3')
    .default('filesystem')
    .describe('where blobs are stored: `filesystem`, `gcs` or `s3`'),
  STORAGE_PATH: folder.optional().describe('folder of the filesystem store; in NIXERY_DATA if not set'),
  GCS_BUCKET: text.optional().describe('bucket in Google Cloud Storage'),
  GCS_ENDPOINT: httpUrl.optional().describe('URL of a service with the Google Cloud Storage API'),
  GOOGLE_APPLICATION_CREDENTIALS: folder
    .optional()
    .describe(
      'key file of a service account, to sign the URLs of redirects; without it, the bucket must be public',
    ),
  S3_BUCKET: text.optional().describe('bucket in S3, or in a service with its API'),
  S3_ENDPOINT: httpUrl.optional().describe('URL of that service; AWS if not set'),
  AWS_REGION: text.default('us-east-1').describe('region of the bucket'),
  S3_ACCESS_KEY: text
    .optional()
    .describe('access key; the AWS default credential chain if not set')
    .meta({ secret: true }),
  S3_SECRET_KEY: text.optional().describe('secret of the access key').meta({ secret: true }),
  S3_PATH_STYLE: flag
    .default(true)
    .describe('whether URLs have the bucket in the path instead of the host name'),
  S3_LINK_EXPIRATION: duration.prefault('5m').describe('how long a redirect to the bucket stays valid'),
  NIXERY_REDIRECT: oneOf('on', 'off')
    .default('on')
    .describe('`on` redirects clients to the bucket for blobs, `off` streams blobs through the server'),
  NIXERY_STORE_TIMEOUT: seconds.default(20).describe('timeout for a request to the bucket, in seconds'),
}
