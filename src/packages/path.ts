import { hash } from 'node:crypto'
import { access, constants, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { headOf, headStamp } from './checkout.ts'
import { survey } from './fingerprint.ts'
import { createLooks } from './looks.ts'
import type { PackageSource, PinnedSet } from './source.ts'

export type PathOptions = {
  /** Milliseconds for which an answer is given again without looking. */
  readonly fresh: number
  /** Milliseconds for which it is given to who is content with it while the next look is at work. */
  readonly stale: number
  /** `latest`: another tag is unknown, as it has no meaning here; `any`: tags are ignored, as the original does. */
  readonly tags: 'latest' | 'any'
  /** Hears that the folder cannot be read for a while, and the last look serves on. */
  readonly warn?: (line: string) => void
}

/** A folder as it was at one time. `state` changes with it and never comes again. */
type Seen = {
  readonly folder: string
  readonly revision: string
  readonly state: string
  readonly settled: boolean
}

/** Milliseconds after which a folder is looked at again that could not be read for lack of something. */
const retryAfter = 1_000

/**
 * A package set in a folder (`NIXERY_PKGS_PATH`). Its revision is a fingerprint of the tree, or the commit of a
 * checkout that is clean; a folder in the Nix store cannot change and is its own revision. Nobody looks when nobody
 * asks, and all who ask at once share one look.
 */
export function pathSource(directory: string, { fresh, stale, tags, warn }: PathOptions): PackageSource {
  const commits = new LRUCache<string, { readonly commit: string | undefined }>({ max: 16 })

  const look = async (): Promise<Seen> => {
    const folder = await exists(directory)
    if (isInStore(folder)) return { folder, revision: folder, state: folder, settled: true }
    // Before the walk: if the checkout moves meanwhile, it is looked at again.
    const stamp = await headStamp(folder)
    const seen = await survey(folder)
    if (stamp === undefined || !seen.settled) return seenBy(folder, seen)
    const keyOf = (fingerprint: string) => `${folder}\0${fingerprint}\0${stamp}`
    const known = commits.get(keyOf(seen.fingerprint))
    if (known) return seenBy(folder, seen, known.commit)
    const head = await headOf(folder)
    const compared = head ? await survey(folder, head.listing) : seen
    const commit = compared.clean && compared.settled ? head?.commit : undefined
    commits.set(keyOf(compared.fingerprint), { commit })
    return seenBy(folder, compared, commit)
  }

  const looks = createLooks(look)
  let failed = -Infinity
  /** Only what is fixed by the operator is a set that is not there; for all else the last answer serves on. */
  const seenNow = async (): Promise<Seen> => {
    try {
      const seen = await looks.join()
      failed = -Infinity
      return seen
    } catch (error) {
      const last = looks.last()
      if (isMissing(error)) {
        looks.forget() // what is mended is seen at once
        throw noSet(error)
      }
      if (last && failed === -Infinity) {
        warn?.(`the package set cannot be read, and what was read last serves on: ${String(error)}`)
      }
      failed = performance.now()
      if (last) return last.value
      throw unreadable(error)
    }
  }

  const pins = new WeakMap<Seen, PinnedSet>()
  const pinned = (seen: Seen): PinnedSet => {
    const pin = pins.get(seen) ?? pinnedBy(seen)
    pins.set(seen, pin)
    return pin
  }
  const pinnedBy = (seen: Seen): PinnedSet => ({
    set: { folder: seen.folder },
    revision: seen.revision,
    state: seen.state,
    // A look that began after this call, if nothing could have escaped the one that this was pinned by.
    unchanged: async () => {
      if (isInStore(seen.folder)) return true
      if (!seen.settled) return false
      const now = await looks.next().catch(() => undefined)
      return now?.state === seen.state && now.folder === seen.folder
    },
  })

  return {
    description: `the package set in ${directory}`,
    publicDescription: 'a folder on this server',
    async usable() {
      await exists(directory).catch((error: unknown) => {
        throw isMissing(error) ? noSet(error) : unreadable(error)
      })
    },
    tags: () => Promise.resolve(['latest']),
    current(tag) {
      const last = tags === 'any' || tag === 'latest' ? looks.last() : undefined
      return last && performance.now() - last.began <= fresh ? pinned(last.value) : undefined
    },
    async pin(tag, { old = false } = {}) {
      if (tags === 'latest' && tag !== 'latest') {
        const message = 'this package set has no tags: only "latest" exists'
        throw new NixeryError('MANIFEST_UNKNOWN', message)
      }
      const last = looks.last()
      if (!last) return pinned(await seenNow())
      const now = performance.now()
      const age = now - last.began
      if (age <= fresh || now - failed < retryAfter) return pinned(last.value)
      // A folder in the store is looked at in no time.
      if (!old || age > stale || isInStore(last.value.folder)) return pinned(await seenNow())
      void seenNow().catch(() => {}) // who asks next is told
      return pinned(last.value)
    },
  }
}

/** The folder's real path, if it holds a package set. */
async function exists(directory: string): Promise<string> {
  const folder = await realpath(directory)
  await access(join(folder, 'default.nix'), constants.R_OK)
  return folder
}

const isInStore = (folder: string): boolean => folder.startsWith('/nix/store/')

const seenBy = (
  folder: string,
  { fingerprint, settled }: { fingerprint: string; settled: boolean },
  commit?: string,
): Seen => {
  // Two folders that were written at the same time may have one fingerprint: times of change are coarse.
  const state = `path-${hash('sha256', `${folder}\0${fingerprint}`)}`
  return { folder, revision: commit === undefined ? state : `git-${commit}`, state, settled }
}

const missing: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EACCES'])
const isMissing = (error: unknown): boolean => missing.has(systemErrorCode(error))

const noSet = (cause: unknown) =>
  new NixeryError('SOURCE_INVALID', 'there is no package set: its folder or its default.nix cannot be read', {
    cause,
    hint: 'the operator must point NIXERY_PKGS_PATH to a folder with a default.nix',
  })

const unreadable = (cause: unknown) =>
  new NixeryError('SOURCE_UNREACHABLE', 'the folder of the package set cannot be read at the moment', {
    cause,
    hint: 'try again in a moment; the operator finds the cause in the log',
  })
