import { address, duration, flag, folder, oneOf, seconds, text } from './values.ts'

/** Where blobs are kept. */
export const storageSettings = {
  NIXERY_STORAGE_BACKEND: oneOf('filesystem', 'gcs', 's3')
    .default('filesystem')
    .describe('where blobs are kept: `filesystem`, `gcs` or `s3`'),
  STORAGE_PATH: folder.optional().describe('folder of the filesystem store; under NIXERY_DATA if not set'),
  GCS_BUCKET: text.optional().describe('bucket in Google Cloud Storage'),
  GCS_ENDPOINT: address
    .optional()
    .describe('address of a service that speaks Google Cloud Storage’s protocol'),
  GOOGLE_APPLICATION_CREDENTIALS: folder
    .optional()
    .describe(
      'key of a service account; it signs the addresses that clients are sent to, which are public without',
    ),
  S3_BUCKET: text.optional().describe('bucket in S3, or a service that speaks its protocol'),
  S3_ENDPOINT: address.optional().describe('address of that service; AWS’s if not set'),
  AWS_REGION: text.default('us-east-1').describe('region of the bucket'),
  S3_ACCESS_KEY: text
    .optional()
    .describe('key for the bucket; AWS’s own chain of credentials if not set')
    .meta({ secret: true }),
  S3_SECRET_KEY: text.optional().describe('secret of the key').meta({ secret: true }),
  S3_PATH_STYLE: flag.default(true).describe('whether the bucket stands in the path of an address'),
  S3_LINK_EXPIRATION: duration.prefault('5m').describe('how long an address works that a client was sent to'),
  NIXERY_REDIRECT: oneOf('on', 'off')
    .default('on')
    .describe('`on` sends clients to the bucket for blobs, `off` streams blobs through'),
  NIXERY_STORE_TIMEOUT: seconds.default(20).describe('seconds within which a bucket must answer'),
}
