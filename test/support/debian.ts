import { homedir } from 'node:os'
import { join } from 'node:path'
import { openApt } from '../../demo/apt.ts'
import { readConfig } from '../../src/config.ts'
import { withLock } from '../../src/fs/lock.ts'

/** Downloads packages of Debian 12 into an existing folder, with the lists from which the demo package set is made. */
export async function downloadDebs(packages: readonly string[], into: string): Promise<void> {
  const { NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const folder = join(NIXERY_CACHE, 'debian', `apt-${architecture}`)
  await withLock(join(NIXERY_CACHE, 'debian-downloads.lock'), {}, async () => {
    const apt = await openApt({ folder, architecture, progress: () => {}, signal: undefined })
    const download = () => apt.download([...packages], into, () => {})
    // The usual reasons for a failure are missing or old lists.
    await download().catch(async () => {
      await apt.update()
      await download()
    })
  })
}
