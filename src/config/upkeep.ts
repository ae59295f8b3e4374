import { days, seconds, size } from './values.ts'

/** When blobs and images are removed. */
export const upkeepSettings = {
  NIXERY_KEEP: days
    .optional()
    .describe('days for which an image is kept after its last pull; for ever if not set'),
  NIXERY_STORE_LIMIT: size
    .optional()
    .describe('size of all blobs, such as `200GB`, above which images go that were not pulled for longest'),
  NIXERY_CATALOG_KEEP: days
    .default(90)
    .describe(
      'days for which the meaning of a name and the facts of a store path are remembered after their last use',
    ),
  NIXERY_GC_INTERVAL: seconds.default(3600).describe('seconds from one cleaning to the next'),
}
