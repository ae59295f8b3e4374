import type { Key } from '../image/canonical.ts'
import type { Digest } from '../image/digest.ts'
import type { Layer } from '../image/oci.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { ApiKeys } from './api-key.ts'
import type { ImagesOfNames } from './images-of-names.ts'
import type { BlobMarks } from './blob-marks.ts'
import type { Lead, LeadName } from './lead.ts'
import type { Logouts } from './logouts.ts'
import type { QuotaUses } from './quota-uses.ts'
import type { ScrubResults } from './scrub-results.ts'
import type { SearchIndexes } from './search-indexes.ts'

export type { ApiKey, ApiKeys } from './api-key.ts'

export type ResolutionKey = Key<'resolution' | 'denied-derivations'>
export type LayerKey = Key<'layer' | 'rootfs'>
export type MemberKey = Key<'member'>
/** `found`: images that were in the store, but not in the catalog. */
export type ImageKey = Key<'image' | 'found'>

/** Parses a value from JSON; undefined if it cannot, for example because a later version wrote it. */
export type Parse<T> = (text: string) => T | undefined

/** The compressed tar entries of one store path: a range of bytes in a blob. */
export type Member = {
  readonly key: MemberKey
  readonly digest: Digest
  readonly offset: number
  readonly length: number
}

/** A layer with additional facts as JSON. */
export type KnownLayer = Layer & { readonly facts?: string }

/** A pull of an image by name. */
export type Pull = {
  /** The name in the request: `shell/git`. */
  readonly repository: string
  readonly tag: string
  readonly architecture: string
  /** The key of the image. */
  readonly image: ImageKey
  /** The time of the last pull, in seconds since 1970. */
  readonly at: number
  /** The number of pulls since they were last recorded. */
  readonly count: number
  /** The image, to store it again if a concurrent cleanup removes it. */
  readonly record?: object | undefined
}

/** A store path with its contents. */
export type PathId = Pick<PathFacts, 'storePath' | 'narHash'>

/** The listing of a store path, as text without blanks. */
export type PathListing = { readonly facts: PathFacts; readonly listing: string }

/** A small file of a binary cache, such as a narinfo, unchanged. */
export type CacheFile = {
  readonly address: string
  /** Undefined if the cache did not have it. */
  readonly text: string | undefined
  /** The time of the request, in seconds since 1970. */
  readonly askedAt: number
}

/**
 * A page of a list: at most `limit` items, after `after` if given. The list ends with an empty page; others may have fewer
 * than `limit` items.
 */
export type Page<T extends string = string> = { readonly after?: T; readonly limit: number }

/** The resolutions and facts of paths that were used on one day: a UTC day, counted from 1970. */
export type RowUses = {
  readonly day: number
  readonly resolutions: readonly ResolutionKey[]
  readonly paths: readonly StorePath[]
}

/**
 * Small facts, stored under the keys of their inputs. All of them can be derived again: an empty catalog costs time, but
 * never changes a digest. So the methods do not fail when the database does: facts that cannot be read count as missing,
 * and facts that cannot be written are lost. Only `upkeep`, `apiKeys`, `logouts`, `quotaUses` and `searchIndexes` fail. A row that cannot be read, for example because
 * a later version wrote it, also counts as missing.
 * Values that belong to other rooms are stored as JSON, and parsed when they are read by a function of that room.
 */
export type Catalog = ImagesOfNames & {
  resolutions<T>(keys: readonly ResolutionKey[], parse: Parse<T>): Promise<Map<ResolutionKey, T>>
  /** @param revision the revision of the package set; its resolutions are removed together when it is no longer used */
  rememberResolutions(resolutions: ReadonlyMap<ResolutionKey, object>, revision?: string): Promise<void>
  /** The facts of the known paths among these. */
  readonly pathFacts: (paths: readonly StorePath[]) => Promise<Map<StorePath, PathFacts>>
  /** Facts of a path that was rebuilt with different bytes replace the old ones. */
  rememberPathFacts(facts: readonly PathFacts[]): Promise<void>
  /** The listings of paths, if they are known for exactly these contents. */
  readonly listings: (paths: readonly PathId[]) => Promise<Map<StorePath, string>>
  /** Stores the facts of paths with their listings. */
  rememberListings(listed: readonly PathListing[]): Promise<void>
  /** Responses of binary caches; the caller decides whether they are still valid. */
  cacheFiles(addresses: readonly string[]): Promise<CacheFile[]>
  rememberCacheFiles(files: readonly CacheFile[]): Promise<void>
  layer(key: LayerKey): Promise<KnownLayer | undefined>
  /** The known layers among these, by key. */
  readonly layers: (keys: readonly LayerKey[]) => Promise<Map<LayerKey, KnownLayer>>
  /** The known members among these, by key. */
  members(keys: readonly MemberKey[]): Promise<Map<MemberKey, Member>>
  rememberLayer(key: LayerKey, layer: KnownLayer, members: readonly Member[]): Promise<void>
  image<T>(key: ImageKey, parse: Parse<T>): Promise<T | undefined>
  /** @param madeAt seconds since 1970; default: now */
  rememberImage(key: ImageKey, image: object, madeAt?: number): Promise<void>
  /** Stores the store paths that an image was made from: the facts of their closure are kept as long as the image. */
  rememberRoots(key: ImageKey, roots: readonly StorePath[]): Promise<void>
  /** Records which rows were used, so that upkeep keeps them. */
  rememberRowUses(uses: RowUses): Promise<void>
  /** The size of a blob whose bytes are known to have this digest. */
  blobSize(digest: Digest): Promise<number | undefined>
  /** @param mark see `blobMark`; if not given, it stays as it is */
  rememberBlob(digest: Digest, size: number, mark?: string): Promise<void>
  /** The mark last stored for the file of a known blob: it shows whether the file has changed since it was hashed. */
  blobMark(digest: Digest): Promise<string | undefined>
  rememberBlobMark(digest: Digest, mark: string): Promise<void>
  /** Removes a blob that is missing or damaged, with the layers and members in it. */
  forgetBlob(digest: Digest): Promise<void>
  /** Records pulls: for upkeep, lists of tags, and images built ahead of demand. */
  rememberPulls(pulls: readonly Pull[]): Promise<void>
  /**
   * Records manifests and indexes pulled by digest, with the time in seconds since 1970: nothing else shows that they are
   * in use.
   */
  rememberUses(uses: ReadonlyMap<Digest, number>): Promise<void>
  /** Whether an image that was ever served under this name refers to this digest. */
  holds(repository: string, digest: Digest): Promise<boolean>
  /** The tags with which a repository was pulled, in byte order. */
  tags(repository: string, page: Page): Promise<string[]>
  /** The repositories that were pulled, in byte order. */
  repositories(page: Page): Promise<string[]>
  /** The most pulled images over all architectures, most pulled first. */
  mostPulled(limit: number): Promise<{ repository: string; tag: string; pulls: number }[]>
  readonly apiKeys: ApiKeys
  readonly logouts: Logouts
  readonly quotaUses: QuotaUses
  readonly searchIndexes: SearchIndexes
  readonly upkeep: CatalogUpkeep
  close(): Promise<void>
}

/** An image, for upkeep; times are in seconds since 1970. */
export type ImageRecord<T> = {
  readonly key: ImageKey
  /** Undefined if it cannot be read: a later version may have written it. */
  readonly image: T | undefined
  readonly madeAt: number
  /** The last pull by name; undefined if there was none. */
  readonly pulledAt: number | undefined
}

/** A name under which an image was pulled. */
export type ImageName = Pick<Pull, 'repository' | 'tag' | 'architecture'>

/** A blob, for upkeep. */
export type BlobRecord = {
  readonly digest: Digest
  /** For manifests: the last pull by digest, in seconds since 1970, if there was one. */
  readonly usedAt: number | undefined
  /** Whether its deletion has started. */
  readonly withdrawn: boolean
  /** When it was marked, to be deleted later. */
  readonly markedAt?: number
}

/**
 * For upkeep, which removes data without known references, and so must not mistake a failure for a missing row: all
 * methods fail with STORE_UNAVAILABLE when the database fails.
 */
export type CatalogUpkeep = {
  /**
   * Takes the lead in something for this catalog, across processes; undefined if another process has it. It ends when the
   * process ends, for whatever reason.
   */
  lock(name: LeadName): Promise<Lead | undefined>
  /** When this catalog was created, in seconds since 1970: it does not know earlier pulls. */
  born(): Promise<number>
  /** All images, ordered by key. */
  images<T>(page: Page<ImageKey>, parse: Parse<T>): Promise<ImageRecord<T>[]>
  /** The images that were made or pulled at `since` (seconds since 1970) or later. */
  imagesSince<T>(since: number, parse: Parse<T>): Promise<ImageRecord<T>[]>
  /** The names under which images were pulled, in a fixed order per image. */
  names(keys: readonly ImageKey[]): Promise<Map<ImageKey, ImageName[]>>
  /** All known blobs, ordered by digest. */
  blobs(page: Page<Digest>): Promise<BlobRecord[]>
  /** Removes images and their pulls, except those made or pulled at `since` or later. */
  forgetImages(keys: readonly ImageKey[], since: number): Promise<void>
  /**
   * Called before blobs are deleted: from now on they, and the layers and members in them, are unknown. If the deletion is
   * interrupted, `blobs` still lists them.
   */
  withdrawBlobs(digests: readonly Digest[]): Promise<void>
  /** Called after blobs were deleted. */
  forgetBlobs(digests: readonly Digest[]): Promise<void>
  readonly marks: BlobMarks
  readonly rows: CatalogRows
  readonly scrubs: ScrubResults
}

/** Forgets old resolutions and facts of paths, in batches. Days are UTC days counted from 1970. */
export type CatalogRows = {
  /** Sets the day of rows without one, which an earlier version wrote. Returns their number. */
  giveDay(day: number, limit: number): Promise<number>
  /** Deletes resolutions last used before a day, of one or of all revisions. Returns their number. */
  forgetResolutions(before: number, limit: number, revision?: string): Promise<number>
  /** The next revision after `after`, in byte order, with the day of the last use of its resolutions. */
  nextRevision(after: string): Promise<{ readonly revision: string; readonly usedOn: number } | undefined>
  /** Paths last used before a day, in no particular order. */
  unusedPaths(before: number, limit: number): Promise<StorePath[]>
  /** Marks paths as used on a day. */
  keepPaths(paths: readonly StorePath[], day: number): Promise<void>
  /** Deletes the facts of paths last used before a day. Returns their number. */
  forgetPaths(paths: readonly StorePath[], before: number): Promise<number>
  /**
   * Deletes files of binary caches that were requested before a time, and missing ones that were requested before another,
   * in seconds since 1970. Returns their number.
   */
  forgetCacheFiles(before: number, missingBefore: number, limit: number): Promise<number>
  /** Deletes uses of quotas whose windows have ended. Returns their number. */
  forgetQuotaUses(limit: number): Promise<number>
  /** The known references of these paths. */
  references(paths: readonly StorePath[]): Promise<StorePath[]>
  /** The store paths that images were made from, ordered by the images' keys. */
  imageRoots(
    page: Page<ImageKey>,
  ): Promise<{ readonly key: ImageKey; readonly roots: readonly StorePath[] }[]>
  /** Returns up to `pages` free pages of the database to the file system. Returns whether there are more. */
  shrink(pages: number): Promise<boolean>
}
