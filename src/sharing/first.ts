import { largestNarinfo, parseNarinfo } from '../contents/cache/narinfo.ts'
import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Objects } from '../store/objects.ts'
import { narinfoName } from './names.ts'

/**
 * Decides which narinfo of a path counts: the first. Its NAR is in the shared cache, so that it can be read at once.
 * @param text counts if none does yet
 * @returns the narinfo that counts, which is in the shared cache then
 * @throws STORE_UNAVAILABLE, STORE_FULL
 */
export type First = (path: StorePath, text: string, signal: AbortSignal) => Promise<string>

const narinfoType = 'text/x-nix-narinfo'
// How often a narinfo that exists may be gone when it is read.
const mostAttempts = 3

/** Decides by who creates the narinfo in the cache. The bucket must honour conditional requests. */
export function firstCreated(objects: Objects): First {
  return async (path, text) => {
    for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
      if (await objects.create(narinfoName(path), Buffer.from(text), narinfoType)) return text
      const found = await objects.read(narinfoName(path), largestNarinfo)
      if (found) return found.toString('latin1')
    }
    const message = `the shared binary cache loses the narinfo of ${path}`
    throw new NixeryError('STORE_UNAVAILABLE', message, {
      hint: 'the operator can look whether it is deleted',
    })
  }
}

/** Decisions that workers of several machines write into a database, each for a day at least. */
export type Decisions = {
  /** Records a narinfo unless there is one. Returns the one that is there. */
  first(path: StorePath, text: string, signal: AbortSignal): Promise<string>
  /** Records a narinfo in place of one that is of no use any more, unless another has done so. Returns what is there. */
  replace(path: StorePath, gone: string, text: string, signal: AbortSignal): Promise<string>
}

/**
 * Decides by who records the narinfo in a database, which works with buckets that ignore conditions, too. Whoever finds it
 * there creates it in the cache: a worker may have been killed before it did.
 */
export function firstRecorded(decisions: Decisions, objects: Objects): First {
  const create = firstCreated(objects)
  return async (path, text, signal) => {
    const recorded = await decisions.first(path, text, signal)
    const isUseful = recorded === text || (await isThere(recorded, objects))
    return create(path, isUseful ? recorded : await decisions.replace(path, recorded, text, signal), signal)
  }
}

/** Whether the NAR of a narinfo is in the cache: what is in it may have been deleted since. */
async function isThere(text: string, objects: Objects): Promise<boolean> {
  const narinfo = parseNarinfo(text)
  return !('invalid' in narinfo) && (await objects.size(narinfo.url)) === narinfo.fileSize
}
