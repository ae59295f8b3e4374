import { randomUUID } from 'node:crypto'
import { basename, dirname, join } from 'node:path'

const suffix = '.part'
const prefixOf = (path: string): string => `.${basename(path)}.`

/**
 * A new name for what becomes the file or folder `path` by a rename once it is complete.
 * @param folder where it is made, on the same file system
 */
export const partOf = (path: string, folder = dirname(path)): string =>
  join(folder, `${prefixOf(path)}${randomUUID()}${suffix}`)

/** Whether a file has a name of `partOf`: for `path`, or for any. */
export const isPart = (name: string, path?: string): boolean =>
  name.startsWith(path === undefined ? '.' : prefixOf(path)) && name.endsWith(suffix)
