import { hash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../fs/replace-file.ts'

/** The last good data of one address, for a start at which that cannot be reached. */
export type Copy = {
  /** Undefined if there is none that can be read. */
  read(): Promise<string | undefined>
  /** @throws the failed system call when it cannot be written */
  write(text: string): Promise<void>
}

/** @param folder the cache folder; it is made when something is written */
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
