import { mkdir, readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { readConfig } from '../../src/config.ts'
import { withLock } from '../../src/fs/lock.ts'
import { downloadDebs } from '../support/debian.ts'

/** Downloads Debian's dynamically linked busybox, as an example of a foreign program. @returns its folder */
export async function debianBusybox(): Promise<string> {
  const { NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const folder = join(NIXERY_CACHE, 'foreign')
  const program = join(folder, 'bin/busybox')
  await mkdir(folder, { recursive: true })
  return withLock(`${folder}.lock`, {}, async () => {
    if (await stat(program).catch(() => undefined)) return join(folder, 'bin')
    await downloadDebs(['busybox'], folder)
    const deb = (await readdir(folder)).find((name) => name.endsWith('.deb')) ?? ''
    await execa('dpkg-deb', ['--extract', join(folder, deb), folder])
    return join(folder, 'bin')
  })
}
