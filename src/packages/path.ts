import { hash } from 'node:crypto'
import { access, constants, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { headOf, headStamp } from './checkout.ts'
import { survey } from './fingerprint.ts'
import { createSharedCheck } from './shared-check.ts'
import type { PackageSource, PinnedSet } from './source.ts'

export type PathOptions = {
  /** Milliseconds for which a result is reused without checking the folder. */
  readonly fresh: number
  /** Milliseconds for which callers that accept an old result get it while the next check runs. */
  readonly stale: number
  /** `latest`: all other tags are unknown; `any`: tags are ignored, as in the original. */
  readonly tags: 'latest' | 'any'
  /** Called when the folder temporarily cannot be read and the last revision stays in use. */
  readonly warn?: (line: string) => void
}

/** A folder at one point in time. `state` changes with it and is never reused. */
type Seen = {
  readonly folder: string
  readonly revision: string
  readonly state: string
  readonly settled: boolean
}

/** Milliseconds before the next check of a folder that could not be read because a resource was exhausted. */
const retryAfter = 1_000

/**
 * A package set in a folder (`NIXERY_PKGS_PATH`). Its revision is a fingerprint of the tree, or the commit of a
 * clean checkout; a folder in the Nix store cannot change and is its own revision. The folder is checked on demand only,
 * and concurrent callers share one check.
 */
export function pathSource(directory: string, { fresh, stale, tags, warn }: PathOptions): PackageSource {
  const commits = new LRUCache<string, { readonly commit: string | undefined }>({ max: 16 })

  const look = async (): Promise<Seen> => {
    const folder = await exists(directory)
    if (isInStore(folder)) return { folder, revision: folder, state: folder, settled: true }
    // Read before the walk, so that a change of the checkout during the walk is noticed.
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

  const looks = createSharedCheck(look)
  let failed = -Infinity
  /** Fails only for errors that the operator must fix; for temporary ones, the last revision stays in use. */
  const seenNow = async (): Promise<Seen> => {
    try {
      const seen = await looks.join()
      failed = -Infinity
      return seen
    } catch (error) {
      const last = looks.last()
      if (isMissing(error)) {
        looks.forget() // so that a repair takes effect immediately
        throw noSet(error)
      }
      if (last && failed === -Infinity) {
        warn?.(`the package set cannot be read; its last revision stays in use: ${String(error)}`)
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
    // Compares with a check that starts after this call, if the pinned state is certain.
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
        const message = 'this package set has no tag but "latest"'
        const hint = 'the operator can have all tags mean the same with NIXERY_TAGS=any'
        throw new NixeryError('MANIFEST_UNKNOWN', message, { hint })
      }
      const last = looks.last()
      if (!last) return pinned(await seenNow())
      const now = performance.now()
      const age = now - last.began
      if (age <= fresh || now - failed < retryAfter) return pinned(last.value)
      // Checking a folder in the store takes no time.
      if (!old || age > stale || isInStore(last.value.folder)) return pinned(await seenNow())
      looks.refresh(() => void seenNow().catch(() => {})) // the next call reports the error
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
  // Two folders written at the same time may have the same fingerprint, because file times are coarse.
  const state = `path-${hash('sha256', `${folder}\0${fingerprint}`)}`
  return { folder, revision: commit === undefined ? state : `git-${commit}`, state, settled }
}

const missing: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EACCES'])
const isMissing = (error: unknown): boolean => missing.has(systemErrorCode(error))

const noSet = (cause: unknown) =>
  new NixeryError('SOURCE_INVALID', 'there is no package set: the folder or its default.nix cannot be read', {
    cause,
    hint: 'the operator must set NIXERY_PKGS_PATH to a folder with a default.nix',
  })

const unreadable = (cause: unknown) =>
  new NixeryError('SOURCE_UNREACHABLE', 'the folder of the package set temporarily cannot be read', {
    cause,
    hint: 'try again in a moment; the server log has the cause',
  })
