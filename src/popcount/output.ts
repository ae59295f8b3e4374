import { randomUUID } from 'node:crypto'
import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'

/** @throws CONFIG_INVALID if this is not a folder that is there */
export async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() === true) return
  throw new NixeryError('CONFIG_INVALID', `cannot write the output: there is no folder ${folder}`)
}

/**
 * Replaces a file in one step; what is no file, such as a pipe or a device, is written to.
 * @throws CONFIG_INVALID if it cannot be written
 */
export async function writeWhole(output: string, text: string): Promise<void> {
  const target = await realpath(output).catch(() => output)
  const found = await stat(target).catch(() => undefined)
  const spooled = `${target}.${randomUUID()}`
  try {
    if (found && !found.isFile()) return await writeFile(target, text)
    await writeFile(spooled, text, { flag: 'wx' })
    await rename(spooled, target)
  } catch (error) {
    await rm(spooled, { force: true }).catch(() => {}) // the first error is the one to tell
    throw new NixeryError('CONFIG_INVALID', `cannot write ${output}: ${systemErrorCode(error)}`, {
      cause: error,
    })
  }
}
