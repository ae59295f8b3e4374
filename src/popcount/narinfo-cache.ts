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

/** Narinfos of one binary cache, kept on disk so that a run goes on where another was ended. */
export type NarinfoCache = {
  /** The narinfo of a path, if it is kept and whole. */
  read(path: StorePath): Promise<Narinfo | undefined>
  /** Keeps a narinfo that was found good. A disk that cannot keep it is noted once and is no failure. */
  write(path: StorePath, body: Buffer): Promise<void>
}

/**
 * Files `<directory>/<host>-<hash of the address>/<hash of the path>.narinfo`. They are written under another name
 * and renamed, so any number of processes can share a folder and be ended at any time. Nothing is synced: a file
 * that a power failure has emptied is not whole, and is fetched again.
 * @throws CONFIG_INVALID when the folder cannot be made
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
    throw new NixeryError('CONFIG_INVALID', `cannot keep narinfos in ${folder}: ${systemErrorCode(error)}`, {
      cause: error,
      hint: 'name another folder with --cache-directory',
    })
  }
  let failed = false

  return {
    async read(path) {
      // What cannot be read, for whatever reason, can be fetched.
      const body = await readFile(fileOf(path)).catch(() => undefined)
      return body && goodNarinfo(path, body)
    },

    async write(path, body) {
      if (failed) return
      try {
        await replaceFile(fileOf(path), body, { staging: spool, durable: false })
      } catch (error) {
        if (!failed) note(`narinfos cannot be kept (${systemErrorCode(error)}): going on without`)
        failed = true
      }
    },
  }
}

/** The narinfo in a body, if it is whole and that of this path. */
export function goodNarinfo(path: StorePath, body: Buffer): Narinfo | undefined {
  // Narinfos are ASCII; of what is not, latin1 makes no more characters than there are bytes.
  const narinfo = parseNarinfo(body.toString('latin1'))
  return narinfo?.storePath === path ? narinfo : undefined
}
