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

/** A file system that the server and Nix write to; sizes in bytes. */
export type Disk = { readonly place: string; readonly free: number; readonly size: number }

/** The file systems of these folders; unreadable ones are omitted. */
export async function readDisks({ folders }: Pick<DiskPlaces, 'folders'>): Promise<Disk[]> {
  const all = await Promise.all(
    folders.map(async ([place, folder]) => [place, await inTime(statfs(folder))] as const),
  )
  return all.flatMap(([place, found]) =>
    found ? [{ place, free: found.bavail * found.bsize, size: found.blocks * found.bsize }] : [],
  )
}

/** The bytes of the catalog and its journal. */
export async function readCatalogSize(catalog: string): Promise<number> {
  const sizes = [catalog, `${catalog}-wal`].map(async (file) => (await stat(file)).size)
  const known = await Promise.all(sizes.map(inTime))
  return known.reduce<number>((sum, size = 0) => sum + size, 0)
}

/** Adds free space and the size of the catalog to the metrics. Unreadable values are omitted. */
export function registerDiskStats(registry: Registry, { folders, catalog }: DiskPlaces): void {
  const ofFolders = (name: string, help: string, valueOf: (disk: Disk) => number) =>
    void new Gauge({
      name,
      help,
      labelNames: ['place'],
      registers: [registry],
      async collect() {
        this.reset()
        for (const disk of await readDisks({ folders })) this.labels(disk.place).set(valueOf(disk))
      },
    })
  ofFolders(
    'nixery_disk_free_bytes',
    'Free bytes on the file systems that the server and Nix write to.',
    ({ free }) => free,
  )
  ofFolders('nixery_disk_size_bytes', 'Size of these file systems.', ({ size }) => size)
  if (catalog === undefined) return
  void new Gauge({
    name: 'nixery_catalog_bytes',
    help: 'Size of the catalog and its journal.',
    registers: [registry],
    async collect() {
      this.set(await readCatalogSize(catalog))
    },
  })
}

const inTime = <T>(value: Promise<T>): Promise<T | undefined> =>
  Promise.race([value.catch(() => undefined), sleep(patience, undefined, { ref: false })])
