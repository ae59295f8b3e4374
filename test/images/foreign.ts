import { mkdir, readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { openApt } from '../../demo/apt.ts'
import { readConfig } from '../../src/config.ts'
import { withLock } from '../../src/fs/lock.ts'

/** Downloads Debian's dynamically linked busybox, as an example of a foreign program. @returns its folder */
export async function debianBusybox(): Promise<string> {
  const { NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const folder = join(NIXERY_CACHE, 'foreign')
  const program = join(folder, 'bin/busybox')
  await mkdir(folder, { recursive: true })
  return withLock(`${folder}.lock`, {}, async () => {
    if (await stat(program).catch(() => undefined)) return join(folder, 'bin')
    const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
    const apt = await openApt({
      folder: join(NIXERY_CACHE, 'debian', `apt-${architecture}`),
      architecture,
      progress: () => {},
      signal: undefined,
    })
    const download = () => apt.download(['busybox'], folder, () => {})
    // apt's lists usually exist, because making the demo package set downloads them.
    await download().catch(async () => {
      await apt.update()
      await download()
    })
    const deb = (await readdir(folder)).find((name) => name.endsWith('.deb')) ?? ''
    await execa('dpkg-deb', ['--extract', join(folder, deb), folder])
    return join(folder, 'bin')
  })
}
