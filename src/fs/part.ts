import { randomUUID } from 'node:crypto'
import { basename, dirname, join } from 'node:path'

const suffix = '.part'
const prefixOf = (path: string): string => `.${basename(path)}.`

/**
 * A new name for an unfinished file or folder that will be renamed to `path`.
 * @param folder its folder, on the same file system
 */
export const partOf = (path: string, folder = dirname(path)): string =>
  join(folder, `${prefixOf(path)}${randomUUID()}${suffix}`)

/** Whether a name was made by `partOf`, for `path` or for any path. */
export const isPart = (name: string, path?: string): boolean =>
  name.startsWith(path === undefined ? '.' : prefixOf(path)) && name.endsWith(suffix)
