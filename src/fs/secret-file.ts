import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemErrorCode } from '../errors.ts'

/**
 * Reads a file with a secret, which is created if it is missing, readable only by its owner (mode 0600). If several
 * processes start together, one creates it.
 * @throws the failed system call
 */
export async function keepSecretFile(file: string, make: () => string): Promise<Buffer> {
  await mkdir(dirname(file), { recursive: true })
  // Linked when it is complete: a killed process leaves no partial secret under this name.
  const whole = `${file}.${randomUUID()}`
  try {
    await writeFile(whole, make(), { flag: 'wx', mode: 0o600, flush: true })
    await link(whole, file)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(whole, { force: true })
  }
  return readFile(file)
}
