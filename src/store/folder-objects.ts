import { randomUUID } from 'node:crypto'
import { copyFile, link, mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { syncDirectory } from '../fs/replace-file.ts'
import { collect, type Objects } from './objects.ts'
import { incompleteFile, openSpool } from './spool.ts'
import { storeError, type StorageTexts } from './store.ts'

/**
 * Objects as files in a folder, which several machines may share. Unfinished files lie in `.staging` there, and get their
 * names by renaming or by a hard link, which fails if the name exists.
 * @throws STORE_UNAVAILABLE or STORE_FULL when the folder cannot be created or written
 */
export async function folderObjects(folder: string, texts: StorageTexts): Promise<Objects> {
  const staging = join(folder, '.staging')
  const reporting = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw storeError(error, doing, texts)
    }
  }
  /** Makes an unfinished file, syncs it, and gives it its name. */
  const finish = async (
    name: string,
    write: (part: string) => Promise<void>,
    place: (part: string, target: string) => Promise<void>,
  ) => {
    const part = join(staging, randomUUID())
    const target = join(folder, name)
    try {
      await write(part)
      const handle = await open(part, 'r+')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
      await mkdir(dirname(target), { recursive: true })
      await place(part, target)
    } finally {
      await rm(part, { force: true }).catch(() => {}) // report the first error
    }
    await syncDirectory(dirname(target))
  }
  const size = async (name: string): Promise<number | undefined> => {
    try {
      return (await stat(join(folder, name))).size
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }
  const openFile = async (name: string) => (await open(join(folder, name))).createReadStream()
  await reporting(`opening the folder ${folder}`, () => openSpool(staging))

  return {
    size: (name) => reporting('looking for a file', () => size(name)),
    read: (name, most) =>
      reporting('reading a file', async () => {
        try {
          return await collect(await openFile(name), most, texts)
        } catch (error) {
          if (systemErrorCode(error) === 'ENOENT') return undefined
          throw error
        }
      }),
    async open(name) {
      try {
        return await openFile(name)
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT') throw storeError(error, 'reading a file', texts)
        throw new NixeryError('BLOB_UNKNOWN', 'no such file', { cause: error })
      }
    },
    upload: (name, kind, file) =>
      reporting('storing a file', async () => {
        if ((await size(name)) === kind.size) return
        const copy = async (part: string) => {
          await copyFile(file, part)
          const copied = (await stat(part)).size
          if (copied !== kind.size) throw incompleteFile(copied, kind.size)
        }
        await finish(name, copy, rename)
      }),
    create: (name, bytes) =>
      reporting('creating a file', async () => {
        try {
          await finish(name, (part) => writeFile(part, bytes, { flag: 'wx' }), link)
          return true
        } catch (error) {
          if (systemErrorCode(error) === 'EEXIST') return false
          throw error
        }
      }),
  }
}
