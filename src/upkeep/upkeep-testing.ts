import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, mock } from 'node:test'
import Database from 'better-sqlite3'
import { createBlobs, type Blobs } from '../builds/blobs.ts'
import { publishImage, publishIndex, type Image, type Part } from '../builds/image.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { platforms } from '../image/platform.ts'
import { openFileStore } from '../store/fs.ts'
import type { BlobStore } from '../store/store.ts'
import { createHasher } from '../store/hasher.ts'
import { testKey } from '../catalog/keys-testing.ts'
import { collect, type CollectOptions } from './gc.ts'
import { createUses } from './uses.ts'

/** A store and a catalog in a folder, filled as a server would. */
export type World = {
  readonly folder: string
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly blobs: Blobs
  /** Stores a layer with this text. */
  layer(text: string, daysAgo?: number): Promise<Digest>
  /** Creates an image of such layers, with `name` as its key. */
  image(name: string, layers: readonly string[], daysAgo?: number): Promise<Image>
  index(images: readonly Image[], daysAgo?: number): Promise<Part>
  /** Stores a blob that the catalog does not know, like one of the original or of another replica. */
  unknownBlob(text: string, daysAgo?: number): Promise<Digest>
  age(digest: Digest, daysAgo: number): Promise<void>
  pulled(name: string, daysAgo: number): Promise<void>
  /** The digests of all stored blobs, sorted. */
  stored(): Promise<string[]>
}

/** Sets the creation time of the catalog. */
export function setCatalogAge(folder: string, days: number): void {
  const database = new Database(join(folder, 'catalog.db'))
  database.prepare("UPDATE about SET value = ? WHERE key = 'born'").run(String(ago(days)))
  database.close()
}

/** The time this many days ago, in seconds since 1970. */
export const ago = (days: number): number => Math.floor(Date.now() / 1000 - days * 86_400)

/** Gives each test of a file its own store and catalog, and removes them after the last one. */
export function openWorldForEach(use: (world: World) => void): void {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nixery-gc-'))
  })
  beforeEach(async () => {
    // Stop the clock, so that `ago` always returns the same second.
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    use(await openWorld(directory))
  })
  afterEach(() => mock.timers.reset())
  after(() => rm(directory, { recursive: true }))
}

export async function openWorld(directory: string): Promise<World> {
  const folder = await mkdtemp(join(directory, 'world-'))
  const store = await openFileStore(join(folder, 'store'))
  const catalog = await openSqliteCatalog(join(folder, 'catalog.db'), { pause: 1 })
  return worldOver(folder, store, catalog)
}

export function worldOver(folder: string, store: BlobStore, catalog: Catalog): World {
  const blobs = createBlobs({ store, catalog, hasher: createHasher(store) })
  const mediaType = 'application/octet-stream'
  const age = async (digest: Digest, daysAgo: number) => {
    const file = store.file?.(digest)
    if (file !== undefined) await utimes(file, ago(daysAgo), ago(daysAgo))
  }
  const layerOf = (text: string) => ({
    digest: digestOf(text),
    diffId: digestOf(`${text}, unpacked`),
    size: Buffer.byteLength(text),
    compression: 'gzip' as const,
  })
  const world: World = {
    folder,
    store,
    catalog,
    blobs,
    async layer(text, daysAgo = 0) {
      const { digest, size } = layerOf(text)
      await blobs.publish({ digest, size, mediaType }, { bytes: Buffer.from(text) })
      await catalog.rememberLayer(testKey(`layer ${text}`), layerOf(text), [
        { key: testKey(`member ${text}`), digest, offset: 0, length: size },
      ])
      await age(digest, daysAgo)
      return digest
    },
    async image(name, layers, daysAgo = 0) {
      for (const text of layers) await world.layer(text, daysAgo)
      const parts = layers.map((text) => ({ layer: layerOf(text), comment: name }))
      const image = await publishImage(blobs, { platform: platforms.amd64, config: { env: [] } }, parts)
      for (const { digest } of [...Object.values(image.manifests), image.config]) await age(digest, daysAgo)
      await catalog.rememberImage(testKey(name), image, ago(daysAgo))
      return image
    },
    async index(images, daysAgo = 0) {
      const platform = platforms.amd64
      const part = await publishIndex(
        blobs,
        'oci',
        images.map((image) => ({ image, platform })),
      )
      await age(part.digest, daysAgo)
      return part
    },
    async unknownBlob(text, daysAgo = 0) {
      const digest = digestOf(text)
      await store.putBytes({ digest, size: Buffer.byteLength(text), mediaType }, Buffer.from(text))
      await age(digest, daysAgo)
      return digest
    },
    age,
    async pulled(name, daysAgo) {
      const [repository, tag, architecture] = [`of/${name}`, randomUUID(), 'amd64']
      const at = ago(daysAgo)
      await catalog.rememberPulls([{ repository, tag, architecture, image: testKey(name), at, count: 1 }])
    },
    async stored() {
      return (await readdir(join(folder, 'store', 'layers'))).map((hex) => `sha256:${hex}`).sort()
    },
  }
  return world
}

/** The digests of all blobs of the images, sorted. */
export const digestsOf = (...images: readonly Image[]): string[] =>
  [
    ...new Set(
      images.flatMap(({ manifests, config, layers }) =>
        [...Object.values(manifests), config, ...layers].map(({ digest }) => digest),
      ),
    ),
  ].sort()

/** Runs garbage collection. @param inUse manifests that were just pulled by digest */
export function collectIn(
  world: World,
  options: Partial<CollectOptions> = {},
  inUse: readonly Digest[] = [],
): ReturnType<typeof collect> {
  const uses = createUses()
  for (const digest of inUse) uses.noteManifest(digest)
  return collect({ ...world, uses }, { dryRun: false, now: Date.now() / 1000, ...options })
}
