import type { Key } from '../image/canonical.ts'
import type { Digest } from '../image/digest.ts'
import type { Layer } from '../image/oci.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'

export type ResolutionKey = Key<'resolution' | 'denied-derivations'>
export type LayerKey = Key<'layer' | 'rootfs'>
export type MemberKey = Key<'member'>
/** `found` are images that were in the store, but not in the catalog. */
export type ImageKey = Key<'image' | 'found'>

/** Reads a value from its JSON text; undefined for one that it cannot read, such as a later version's. */
export type Parse<T> = (text: string) => T | undefined

/** Where the compressed tar entries of one store path lie: bytes of a blob. */
export type Member = {
  readonly key: MemberKey
  readonly digest: Digest
  readonly offset: number
  readonly length: number
}

/** A layer, and what its maker wants to know of it besides: JSON text. */
export type KnownLayer = Layer & { readonly facts?: string }

/** An image that was asked for by name, and given. */
export type Pull = {
  /** The name as it was asked for: `shell/git`. */
  readonly repository: string
  readonly tag: string
  readonly architecture: string
  /** The key that the image is remembered under. */
  readonly image: ImageKey
  /** When it was last given, in seconds since 1970. */
  readonly at: number
  /** How often it was given since that was last told. */
  readonly count: number
  /** The image, to be remembered again if it was forgotten: a cleanup may just be removing it. */
  readonly record?: object | undefined
}

/** A store path with its contents. */
export type PathId = Pick<PathFacts, 'storePath' | 'narHash'>

/** What lies where in a store path, as text without a blank in it. */
export type Listed = { readonly facts: PathFacts; readonly listing: string }

/** A small file of a binary cache, such as a narinfo, as it came. */
export type CacheFile = {
  readonly address: string
  /** Undefined if the cache did not have it. */
  readonly text: string | undefined
  /** When the cache was asked, in seconds since 1970. */
  readonly askedAt: number
}

/**
 * A part of a list: at most `limit` items, only those after `after` if that is given. The list ends with an empty part:
 * one that is not full may be followed by others.
 */
export type Page<T extends string = string> = { readonly after?: T; readonly limit: number }

/** Resolutions, by key, and facts of paths that were used on one day, a UTC day counted from 1970. */
export type RowUses = {
  readonly day: number
  readonly resolutions: readonly ResolutionKey[]
  readonly paths: readonly StorePath[]
}

/**
 * Small facts, remembered under the keys of their inputs. All of it can be made again: an empty catalog costs
 * time and never changes a digest. So when the database fails, nothing here does: what cannot be looked up is not
 * known, and what cannot be written is not remembered. `upkeep` alone fails then. Nor does a row that cannot be read,
 * such as one of a later version: it counts as one that is not there.
 * Values that belong to other rooms are stored as JSON. They are parsed where they are read, by a function of the room
 * that owns them; one that it cannot read is a miss.
 */
export type Catalog = {
  resolutions<T>(keys: readonly ResolutionKey[], parse: Parse<T>): Promise<Map<ResolutionKey, T>>
  /** @param revision of the package set that they belong to; they are forgotten together when it is no longer used */
  rememberResolutions(resolutions: ReadonlyMap<ResolutionKey, object>, revision?: string): Promise<void>
  /** Facts of the paths that are known, and of no others. */
  pathFacts(paths: readonly StorePath[]): Promise<Map<StorePath, PathFacts>>
  /** Facts of a path that was built anew, with other bytes, replace the old. */
  rememberPathFacts(facts: readonly PathFacts[]): Promise<void>
  /** What lies where in paths, of those that are known with these very contents. */
  listings(paths: readonly PathId[]): Promise<Map<StorePath, string>>
  /** Remembers the facts of paths with what lies where in them. */
  rememberListings(listed: readonly Listed[]): Promise<void>
  /** What binary caches said; whether that still counts is for the caller to decide. */
  cacheFiles(addresses: readonly string[]): Promise<CacheFile[]>
  rememberCacheFiles(files: readonly CacheFile[]): Promise<void>
  layer(key: LayerKey): Promise<KnownLayer | undefined>
  /** The layers that are known, by key. */
  layers(keys: readonly LayerKey[]): Promise<Map<LayerKey, KnownLayer>>
  /** The members that are known, by key. */
  members(keys: readonly MemberKey[]): Promise<Map<MemberKey, Member>>
  rememberLayer(key: LayerKey, layer: KnownLayer, members: readonly Member[]): Promise<void>
  image<T>(key: ImageKey, parse: Parse<T>): Promise<T | undefined>
  /** @param madeAt seconds since 1970; now, if not given */
  rememberImage(key: ImageKey, image: object, madeAt?: number): Promise<void>
  /** The store paths that an image was made from: facts of their closure are kept for as long as the image is. */
  rememberRoots(key: ImageKey, roots: readonly StorePath[]): Promise<void>
  /** Rows that were used, so that upkeep does not forget them. */
  rememberRowUses(uses: RowUses): Promise<void>
  /** The size of a blob whose bytes are known to have this digest. */
  blobSize(digest: Digest): Promise<number | undefined>
  rememberBlob(digest: Digest, size: number): Promise<void>
  /** What was last remembered of the file of a known blob, by which who hashed it knows it again. */
  blobMark(digest: Digest): Promise<string | undefined>
  rememberBlobMark(digest: Digest, mark: string): Promise<void>
  /** Forgets a blob that turned out to be missing or damaged, and the layers and members in it. */
  forgetBlob(digest: Digest): Promise<void>
  /** What upkeep, lists of tags and preparing ahead of demand go by. */
  rememberPulls(pulls: readonly Pull[]): Promise<void>
  /**
   * Manifests and indexes that were given by digest, with the time in seconds since 1970: of what is pulled so,
   * nothing else tells that it is in use.
   */
  rememberUses(uses: ReadonlyMap<Digest, number>): Promise<void>
  /** Whether an image that was ever given under this name refers to this digest. */
  holds(repository: string, digest: Digest): Promise<boolean>
  /** The tags under which a repository was pulled, sorted by bytes. */
  tags(repository: string, page: Page): Promise<string[]>
  /** The repositories that were pulled, sorted by bytes. */
  repositories(page: Page): Promise<string[]>
  /** What was pulled most, over all architectures; the most first. */
  mostPulled(limit: number): Promise<{ repository: string; tag: string; pulls: number }[]>
  readonly apiKeys: ApiKeys
  readonly upkeep: CatalogUpkeep
  close(): Promise<void>
}

/** A key that a client sends as its password. Times are seconds since 1970. */
export type ApiKey = {
  /** Part of the key, and no secret. */
  readonly id: string
  /** The name of the identity that the key proves. */
  readonly name: string
  /** Of the secret part. */
  readonly hash: string
  readonly groups: readonly string[]
  readonly createdAt: number
  /** Undefined for a key that does not expire. */
  readonly expiresAt?: number
  readonly revokedAt?: number
}

/**
 * Keys are no facts that can be made again: all of this fails with STORE_UNAVAILABLE when the database does, and
 * nothing is kept in memory, so that a key that another process revokes is of no use from that moment.
 */
export type ApiKeys = {
  add(key: Omit<ApiKey, 'revokedAt'>): Promise<void>
  find(id: string): Promise<ApiKey | undefined>
  /** All keys, the oldest first. */
  list(): Promise<ApiKey[]>
  /** Does nothing to a key that was revoked before. */
  revoke(id: string, at: number): Promise<void>
}

/** An image as upkeep sees it; times in seconds since 1970. */
export type ImageRecord<T> = {
  readonly key: ImageKey
  /** Undefined if it cannot be read: a later version may have written it. */
  readonly image: T | undefined
  readonly madeAt: number
  /** When it was last given by name; undefined if it never was. */
  readonly pulledAt: number | undefined
}

/** A name that an image was pulled by. */
export type ImageName = Pick<Pull, 'repository' | 'tag' | 'architecture'>

/** A blob as upkeep sees it: one that this catalog has known. */
export type BlobRecord = {
  readonly digest: Digest
  /** When it was last given by digest, in seconds since 1970, if it is a manifest that was. */
  readonly usedAt: number | undefined
  /** Whether it was to be deleted. */
  readonly withdrawn: boolean
}

/**
 * For upkeep, which removes what nothing is known to refer to: so it must not take a failure for not knowing.
 * All of it fails with STORE_UNAVAILABLE when the database does.
 */
export type CatalogUpkeep = {
  /**
   * Takes the lock that upkeep holds over this catalog, in whatever process: gives what releases it, or undefined if
   * another holds it. A process that ends holds it no more, however it ends.
   */
  lock(): Promise<(() => void) | undefined>
  /** When this catalog began, in seconds since 1970: of pulls before, it knows nothing. */
  born(): Promise<number>
  /** All images, in the order of their keys. */
  images<T>(page: Page<ImageKey>, parse: Parse<T>): Promise<ImageRecord<T>[]>
  /** The images that were made or given at `since` (seconds since 1970) or later. */
  imagesSince<T>(since: number, parse: Parse<T>): Promise<ImageRecord<T>[]>
  /** The names under which images were pulled, those of each image in one order always. */
  names(keys: readonly ImageKey[]): Promise<Map<ImageKey, ImageName[]>>
  /** All blobs that were known, in the order of their digests. */
  blobs(page: Page<Digest>): Promise<BlobRecord[]>
  /** Forgets images and their pulls, without those that were made or given at `since` or later. */
  forgetImages(keys: readonly ImageKey[], since: number): Promise<void>
  /**
   * Before blobs are deleted: they, and layers and members in them, are known no more. Should deleting be
   * interrupted, `blobs` still tells of them.
   */
  withdrawBlobs(digests: readonly Digest[]): Promise<void>
  /** After blobs were deleted. */
  forgetBlobs(digests: readonly Digest[]): Promise<void>
  readonly rows: CatalogRows
}

/**
 * For forgetting resolutions and facts of paths by age. Each call does a bounded amount of work. Days are UTC days
 * counted from 1970; limits are numbers of rows.
 */
export type CatalogRows = {
  /** Gives `day` to rows without a day, which an earlier version wrote. Returns how many rows got it. */
  giveDay(day: number, limit: number): Promise<number>
  /** Deletes resolutions that were last used before a day, of any revision or of one. Returns how many. */
  forgetResolutions(before: number, limit: number, revision?: string): Promise<number>
  /** The next revision after `after`, in byte order, with the day on which any of its resolutions was last used. */
  nextRevision(after: string): Promise<{ readonly revision: string; readonly usedOn: number } | undefined>
  /** Paths that were last used before a day, in no particular order. */
  unusedPaths(before: number, limit: number): Promise<StorePath[]>
  /** Paths count as used on that day. */
  keepPaths(paths: readonly StorePath[], day: number): Promise<void>
  /** Deletes the facts of paths that were last used before a day. Returns how many. */
  forgetPaths(paths: readonly StorePath[], before: number): Promise<number>
  /**
   * Deletes files of binary caches that were asked for before a time, and those that were missing before another, in
   * seconds since 1970. Returns how many.
   */
  forgetCacheFiles(before: number, missingBefore: number, limit: number): Promise<number>
  /** What any of these paths refers to, as far as it is known. */
  references(paths: readonly StorePath[]): Promise<StorePath[]>
  /** The store paths that images were made from, page by page in the order of the images' keys. */
  imageRoots(
    page: Page<ImageKey>,
  ): Promise<{ readonly key: ImageKey; readonly roots: readonly StorePath[] }[]>
  /** Gives up to `pages` free pages of the database back to the file system. Returns whether more can be given back. */
  shrink(pages: number): Promise<boolean>
}
