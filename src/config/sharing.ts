import { parseSharedCache } from '../sharing/address.ts'
import { folder, valueOf } from './values.ts'

/** The binary cache that several workers share. */
export const sharingSettings = {
  NIXERY_SHARED_CACHE: valueOf('an s3, gs or file URL of a binary cache', parseSharedCache)
    .optional()
    .describe(
      'binary cache to which workers upload store paths before they remember anything of them, so that images are the same whichever worker builds them: `s3://BUCKET`, `gs://BUCKET` or `file:///FOLDER`; with `?endpoint=` and `&region=` if it is not at S3_ENDPOINT (GCS_ENDPOINT) and in AWS_REGION; see scaling.md',
    ),
  NIXERY_SHARED_CACHE_KEY: folder
    .optional()
    .describe(
      'file with the secret key that signs the shared cache, in Nix’s format, the same on all workers. If not set, the server creates one in NIXERY_DATA',
    ),
}
