import { stat, statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Gauge, type Registry } from 'prom-client'

/** Folders that can fill up, each with a label, and the file of the catalog if it is a file. */
export type DiskPlaces = {
  readonly folders: readonly (readonly [place: string, folder: string])[]
  readonly catalog: string | undefined
}

/** Milliseconds to wait for a file system that does not answer, such as a network file system. */
const patience = 2_000

/** Adds free space and the size of the catalog to the metrics. Unreadable values are omitted. */
export function registerDiskStats(registry: Registry, { folders, catalog }: DiskPlaces): void {
  const ofFolders = (name: string, help: string, read: (folder: string) => Promise<number>) =>
    void new Gauge({
      name,
      help,
      labelNames: ['place'],
      registers: [registry],
      async collect() {
        this.reset()
        const values = await Promise.all(
          folders.map(async ([place, folder]) => [place, await inTime(read(folder))] as const),
        )
        for (const [place, value] of values) if (value !== undefined) this.labels(place).set(value)
      },
    })
  ofFolders(
    'nixery_disk_free_bytes',
    'Free bytes on the file systems that the server and Nix write to.',
    async (folder) => {
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    },
  )
  ofFolders('nixery_disk_size_bytes', 'Size of these file systems.', async (folder) => {
    const { blocks, bsize } = await statfs(folder)
    return blocks * bsize
  })
  if (catalog === undefined) return
  void new Gauge({
    name: 'nixery_catalog_bytes',
    help: 'Size of the catalog and its journal.',
    registers: [registry],
    async collect() {
      const sizes = [catalog, `${catalog}-wal`].map(async (file) => (await stat(file)).size)
      const known = await Promise.all(sizes.map(inTime))
      this.set(known.reduce<number>((sum, size = 0) => sum + size, 0))
    },
  })
}

const inTime = (value: Promise<number>): Promise<number | undefined> =>
  Promise.race([value.catch(() => undefined), sleep(patience, undefined, { ref: false })])
