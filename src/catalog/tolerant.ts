import type { Digest } from '../image/digest.ts'
import type { Catalog } from './catalog.ts'
import { connect, type ConnectionOptions, type Database } from './connection.ts'
import { ask, must, tell, withPolicies, type Doubts, type Policies } from './policy.ts'

const unknown = () => undefined

/** Removes rows about blobs in doubt. */
const ofSoundBlobs = <K, T extends { readonly digest: Digest }>(
  rows: Map<K, T>,
  { blobs }: Doubts,
): Map<K, T> => new Map([...rows].filter(([, { digest }]) => !blobs.has(digest)))
const ofSoundBlob = <T>(
  value: T | undefined,
  { blobs }: Doubts,
  [digest]: readonly [Digest],
): T | undefined => (blobs.has(digest) ? undefined : value)

/** What each method does when the database fails; see `policy.ts`, and `CatalogUpkeep` for why its methods fail. */
export const catalogPolicies: Policies<Omit<Catalog, 'close'>> = {
  resolutions: ask(() => new Map()),
  rememberResolutions: tell(),
  pathFacts: ask(
    () => new Map(),
    (facts, { paths }) => new Map([...facts].filter(([path]) => !paths.has(path))),
  ),
  rememberPathFacts: tell((facts) => ({ paths: facts.map(({ storePath }) => storePath) })),
  // Also for paths in doubt: a listing belongs to a hash of contents.
  listings: ask(() => new Map()),
  rememberListings: tell((listed) => ({ paths: listed.map(({ facts }) => facts.storePath) })),
  cacheFiles: ask(() => []),
  rememberCacheFiles: tell(),
  layer: ask(unknown, (layer, { blobs }) => (layer && blobs.has(layer.digest) ? undefined : layer)),
  layers: ask(() => new Map(), ofSoundBlobs),
  members: ask(() => new Map(), ofSoundBlobs),
  rememberLayer: tell(),
  image: ask(unknown),
  rememberImage: tell(),
  rememberRoots: tell(),
  rememberRowUses: tell(),
  blobSize: ask(unknown, ofSoundBlob),
  rememberBlob: tell(),
  blobMark: ask(unknown, ofSoundBlob),
  rememberBlobMark: tell(),
  forgetBlob: tell((digest) => ({ blobs: [digest] })),
  rememberPulls: tell(),
  rememberUses: tell(),
  holds: ask(() => false),
  tags: ask(() => []),
  repositories: ask(() => []),
  mostPulled: ask(() => []),
  pulledImages: ask(() => []),
  servedImages: ask(() => []),
  apiKeys: { add: must, find: must, list: must, revoke: must },
  logouts: { add: must, has: must },
  quotaUses: { take: must, add: must, giveBack: must },
  searchIndexes: {
    sets: must,
    want: must,
    report: must,
    add: must,
    forget: must,
    digests: must,
    unneeded: must,
  },
  upkeep: {
    lock: must,
    born: must,
    images: must,
    imagesSince: must,
    names: must,
    blobs: must,
    forgetImages: must,
    withdrawBlobs: must,
    forgetBlobs: must,
    marks: { add: must, remove: must, delete: must },
    scrubs: { remember: must, last: must },
    rows: {
      giveDay: must,
      forgetResolutions: must,
      nextRevision: must,
      unusedPaths: must,
      keepPaths: must,
      forgetPaths: must,
      forgetCacheFiles: must,
      forgetQuotaUses: must,
      references: must,
      imageRoots: must,
      shrink: must,
    },
  },
}

/**
 * Opens a catalog in a database that may fail: locked by another process, out of space, read-only, or damaged. Then each
 * method follows its policy, and the database is not used for a while, because a locked one would delay every response
 * while waiting for the lock. Rows that could not be removed or replaced are ignored from then on, and are removed when
 * the database is back.
 * @throws the error of opening the database, unless it is damage or temporary
 */
export async function openTolerantCatalog(database: Database, options: ConnectionOptions): Promise<Catalog> {
  const connection = await connect(database, options)
  return {
    ...withPolicies(catalogPolicies, connection.run, connection.doubts),
    close: () => connection.close(),
  }
}
