import { hash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../fs/replace-file.ts'

/** A copy of the last good data of a URL, for when the URL is unreachable at startup. */
export type Copy = {
  /** The copy; undefined if there is none, or it cannot be read. */
  read(): Promise<string | undefined>
  /** @throws the failed system call */
  write(text: string): Promise<void>
}

/** @param folder the cache folder, which is created on the first write */
export function copyIn(folder: string, address: string): Copy {
  const file = join(folder, `popularity-${hash('sha256', address).slice(0, 16)}.json`)
  return {
    read: () => readFile(file, 'utf8').catch(() => undefined),
    async write(text) {
      await mkdir(folder, { recursive: true })
      await replaceFile(file, text)
    },
  }
}
