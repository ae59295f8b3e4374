import type { GcsOptions } from '../../src/store/gcs-client.ts'
import { openGcsStore } from '../../src/store/gcs.ts'
import type { RemoteService } from '../../src/store/testing.ts'
import type { Gcs } from './gcs.ts'

/** The fake as a service for the store suites. `optionsOf` completes the options of a store. */
export function gcsService(
  gcs: Gcs,
  optionsOf: (bucket: string, options?: Partial<GcsOptions>) => GcsOptions,
): RemoteService {
  let count = 0
  return {
    endpoint: gcs.endpoint,
    async makeBucket() {
      const bucket = `test-${(count += 1)}`
      gcs.makeBucket(bucket)
      return bucket
    },
    removeBucket: async (bucket) => gcs.removeBucket(bucket),
    objects: async (bucket) =>
      gcs.objects(bucket).map(({ name, size, contentType }) => ({ name, size, contentType })),
    writeObject: (bucket, name, contentType, bytes) => gcs.writeObject(bucket, name, contentType, bytes),
    // The API does not list unfinished uploads; the service deletes them after a week.
    unfinished: async () => 0,
    open: (bucket, options) => openGcsStore(optionsOf(bucket, options)),
  }
}
