import { hash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { abandonedAfter, removeOld } from '../fs/remove-old.ts'
import { replaceFile } from '../fs/replace-file.ts'
import { storePathHash } from './store-paths.ts'
import type { StorePath } from '../image/store-path.ts'
import { shown } from './get.ts'
import { parseNarinfo, type Narinfo } from './narinfo.ts'

/** Narinfos of one binary cache on disk, so that an interrupted run can resume. */
export type NarinfoCache = {
  /** The narinfo of a path, if it is cached and complete. */
  read(path: StorePath): Promise<Narinfo | undefined>
  /** Stores a valid narinfo. If it cannot be written, this is reported once and ignored. */
  write(path: StorePath, body: Buffer): Promise<void>
}

/**
 * Files `<directory>/<host>-<hash of the URL>/<hash of the path>.narinfo`. They are written under a temporary name and
 * renamed, so any number of processes can share a folder and be killed at any time. There is no fsync: a file that a
 * power failure has truncated is incomplete, and is fetched again.
 * @throws CONFIG_INVALID if the folder cannot be created
 */
export async function openNarinfoCache(
  directory: string,
  address: URL,
  note: (line: string) => void,
): Promise<NarinfoCache> {
  const label = (address.hostname || 'file').replace(/[^0-9A-Za-z.-]/g, '_')
  const folder = join(directory, `${label}-${hash('sha256', shown(address)).slice(0, 12)}`)
  const spool = join(folder, 'tmp')
  const fileOf = (path: StorePath) => join(folder, `${storePathHash(path)}.narinfo`)
  try {
    await mkdir(spool, { recursive: true })
    await removeOld(spool, { olderThan: abandonedAfter })
  } catch (error) {
    throw new NixeryError('CONFIG_INVALID', `cannot store narinfos in ${folder}: ${systemErrorCode(error)}`, {
      cause: error,
      hint: 'choose another folder with --cache-directory',
    })
  }
  let failed = false

  return {
    async read(path) {
      // Whatever the reason, a narinfo that cannot be read is fetched again.
      const body = await readFile(fileOf(path)).catch(() => undefined)
      return body && goodNarinfo(path, body)
    },

    async write(path, body) {
      if (failed) return
      try {
        await replaceFile(fileOf(path), body, { staging: spool, durable: false })
      } catch (error) {
        if (!failed) note(`narinfos cannot be stored (${systemErrorCode(error)}): continuing without`)
        failed = true
      }
    },
  }
}

/** Parses a body; undefined unless it is a complete narinfo of this path. */
export function goodNarinfo(path: StorePath, body: Buffer): Narinfo | undefined {
  // Narinfos are ASCII. For any other body, latin1 gives at most one character per byte.
  const narinfo = parseNarinfo(body.toString('latin1'))
  return narinfo?.storePath === path ? narinfo : undefined
}
