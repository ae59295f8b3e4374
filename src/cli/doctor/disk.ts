import type { StatsFs } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Config } from '../../config.ts'
import { systemErrorCode } from '../../errors.ts'
import { bytesText } from '../../text/amounts.ts'
import type { Finding } from './finding.ts'

/** Free space in bytes below which an ordinary build fails, and below which a cleanup is advisable. */
const needed = 1e9
const comfortable = 5e9
/** The same for files (inodes). */
const neededFiles = 10_000

type Place = { readonly what: string; readonly folder: string; readonly fix: string }

/** Checks the free space where the server and Nix write. */
export async function checkDisk(config: Config): Promise<Finding[]> {
  const places: Place[] = [
    {
      what: 'the data folder',
      folder: config.NIXERY_DATA,
      fix: 'nixery gc --limit 50GB; to do so regularly, set NIXERY_STORE_LIMIT or NIXERY_KEEP',
    },
    ...(config.NIXERY_STORAGE_BACKEND === 'filesystem'
      ? [
          {
            what: 'the blobs',
            folder: config.STORAGE_PATH,
            fix: 'nixery gc --limit 50GB; to do so regularly, set NIXERY_STORE_LIMIT or NIXERY_KEEP',
          },
        ]
      : []),
    ...(config.NIXERY_ROLE === 'front'
      ? []
      : [
          { what: 'the Nix store', folder: '/nix/store', fix: 'nix-collect-garbage --delete-older-than 30d' },
        ]),
  ]
  const findings = await Promise.all(places.map(spaceOf))
  return findings.filter((finding) => finding !== undefined)
}

async function spaceOf({ what, folder, fix }: Place): Promise<Finding | undefined> {
  const space = await existing(folder)
  if (!space || space.blocks === 0) return undefined // no disk, such as /proc
  const free = space.bavail * space.bsize
  const message = `${what}, ${folder}: ${bytesText(free)} free`
  // File systems without a fixed number of inodes, such as btrfs, report 0.
  const fewFiles = space.files > 0 && space.ffree < neededFiles
  if (fewFiles)
    return { about: 'disk', state: 'problem', message: `${message}, and only ${space.ffree} files`, fix }
  if (free < needed) return { about: 'disk', state: 'problem', message, fix }
  if (free < comfortable) return { about: 'disk', state: 'warning', message, fix }
  return { about: 'disk', state: 'ok', message }
}

/** The space of a folder or, if it does not exist yet, of the folder that it will be created in. */
async function existing(folder: string): Promise<StatsFs | undefined> {
  try {
    return await statfs(folder)
  } catch (error) {
    const parent = dirname(folder)
    if (systemErrorCode(error) !== 'ENOENT' || parent === folder) return undefined
    return existing(parent)
  }
}
