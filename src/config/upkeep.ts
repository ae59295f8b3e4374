import { days, seconds, size } from './values.ts'

/** When blobs and images are removed. */
export const upkeepSettings = {
  NIXERY_KEEP: days
    .optional()
    .describe('days for which an image is kept after its last pull; no limit if not set'),
  NIXERY_STORE_LIMIT: size
    .optional()
    .describe(
      'total size of blobs, such as `200GB`, above which the least recently pulled images are removed',
    ),
  NIXERY_CATALOG_KEEP: days
    .default(90)
    .describe(
      'days for which the meaning of a package name and the facts of a store path are kept after their last use',
    ),
  NIXERY_GC_INTERVAL: seconds.default(3600).describe('seconds between two cleanups'),
}
