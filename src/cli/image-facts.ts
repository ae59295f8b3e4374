import type { Blobs } from '../builds/blobs.ts'
import type { Image } from '../builds/image.ts'
import { NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'

// Bytes. An image has at most a few hundred layers; a config with an entry for each is far smaller than this.
const largestConfig = 4 * 1024 * 1024

/**
 * The facts about an image that scripts use.
 * @throws BLOB_UNKNOWN if the image was removed in the meantime
 */
export async function factsOf(blobs: Blobs, { manifests, config, layers }: Image) {
  const bytes = await blobs.readSmall(config.digest, largestConfig)
  if (!bytes) throw new NixeryError('BLOB_UNKNOWN', 'the image was removed while it was being read')
  const { rootfs } = JSON.parse(bytes.toString()) as { rootfs: { diff_ids: Digest[] } }
  return {
    digest: manifests.oci.digest,
    config: config.digest,
    size: layers.reduce((sum, { size }) => sum + size, config.size),
    layers: layers.map((layer, index) => ({ ...layer, diffId: rootfs.diff_ids[index] })),
  }
}
