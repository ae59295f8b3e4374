import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildImage } from '../../src/builds/builds.ts'
import { readConfig } from '../../src/config.ts'
import { parseImageReference } from '../../src/image/name.ts'
import { openLocalWorker } from '../support/worker.ts'
import type { FleetWorld } from './fleet-world.ts'

/** An independent worker without a database, whose images must equal the fleet's. */
export async function openWorker({ set }: Pick<FleetWorld, 'set'>) {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-expected-'))
  const silent = () => {}
  const config = readConfig({
    NIXERY_PKGS_PATH: set,
    NIXERY_DATA: folder,
    STORAGE_PATH: join(folder, 'store'),
  })
  const worker = await openLocalWorker(config, { listener: silent, note: silent, warn: silent })
  return {
    async digestOf(name: string): Promise<string> {
      const image = await buildImage(worker.builds, parseImageReference(name), { requestId: 'expected' })
      return image.manifests.oci.digest
    },
    async close() {
      await worker.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
