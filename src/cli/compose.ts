import type { Config } from '../config.ts'
import { verifiedReader, type ReadBlob } from '../export/verified.ts'
import { openWorkshop as openParts, type Workshop as Parts, type WorkshopOptions } from '../workshop.ts'

/** All that builds images, with blobs checked as they are read. */
export type Workshop = Parts & { readonly read: ReadBlob }

/** The same parts over the same folders as the server's, so that a command gives the server's digests. */
export async function openWorkshop(
  config: Config,
  { listener, note, signal }: Omit<WorkshopOptions, 'warn'>,
): Promise<Workshop> {
  const parts = await openParts(config, { listener, note, warn: note, signal, lockPatience: 10_000 })
  const { store, catalog } = parts
  const read = verifiedReader(
    (digest) => store.read(digest),
    async (digest) => {
      await catalog.forgetBlob(digest)
      await store.delete(digest)
    },
  )
  return { ...parts, read }
}
