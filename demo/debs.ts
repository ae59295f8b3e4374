import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { NixeryError, systemErrorCode } from '../src/errors.ts'
import type { Apt } from './apt.ts'
import type { DebPackage } from './debian-index.ts'

/** apt's name for the file of a package, with a colon in the version encoded as `%3a`. */
const debFileName = (deb: DebPackage): string =>
  `${deb.name}_${deb.version.replaceAll(':', '%3a')}_${deb.architecture}.deb`

/** The name of the same file in the Nix store, where `%` and `~` are not allowed. */
export const debStoreName = (deb: DebPackage): string =>
  debFileName(deb)
    .replaceAll('%3a', '-')
    .replaceAll(/[^0-9A-Za-z+._-]/g, '-')

/**
 * Makes sure that the .debs are in `folder`, each with the hash in Debian's signed index. Damaged ones
 * are fetched again. Returns their paths by package name. Throws SETUP_FAILED if apt cannot fetch them.
 */
export async function fetchDebs(options: {
  debs: readonly DebPackage[]
  folder: string
  apt: Apt
  progress: (line: string) => void
}): Promise<Map<string, string>> {
  const { debs, folder, apt, progress } = options
  await mkdir(folder, { recursive: true })
  // This process has the lock of the cache: unfinished files are from a killed process.
  await keepArrived(debs, join(folder, 'arriving'), folder)
  const path = (deb: DebPackage): string => join(folder, debFileName(deb))
  const missing: DebPackage[] = []
  for (const deb of debs) {
    const found = await sha256(path(deb))
    if (found === deb.sha256) continue
    if (found !== undefined) {
      progress(`${debFileName(deb)} in the cache is damaged: fetching it again`)
      await rm(path(deb))
    }
    missing.push(deb)
  }
  if (missing.length > 0) await download(missing, folder, apt, progress)
  return new Map(debs.map((deb) => [deb.name, path(deb)]))
}

async function download(
  debs: readonly DebPackage[],
  folder: string,
  apt: Apt,
  progress: (line: string) => void,
): Promise<void> {
  const total = megabytes(debs)
  progress(`downloading ${debs.length} Debian packages, ${total} MB`)
  const byName = new Map(debs.map((deb) => [deb.name, deb]))
  const begun: DebPackage[] = []
  let reported = 0
  const arriving = join(folder, 'arriving')
  await mkdir(arriving)
  try {
    const wanted = debs.map((deb) => `${deb.name}=${deb.version}`)
    await apt.download(wanted, arriving, (line) => {
      const deb = byName.get(/^Get:\d+ .* (\S+) \S+ \S+ \[[^\]]*\]$/.exec(line)?.[1] ?? '')
      if (deb === undefined) return
      begun.push(deb)
      if (Date.now() - reported < 1000) return
      reported = Date.now()
      progress(
        `downloading ${begun.length} of ${debs.length}: ${deb.name} (${megabytes(begun)} of ${total} MB)`,
      )
    })
  } finally {
    await keepArrived(debs, arriving, folder)
  }
  for (const deb of debs) {
    if ((await fileSize(join(folder, debFileName(deb)))) !== deb.size) {
      throw new NixeryError(
        'SETUP_FAILED',
        `the Debian mirror served ${debFileName(deb)} with wrong content; try again`,
      )
    }
  }
}

/** Keeps complete files, also after a failure, so that the next attempt continues from there. */
async function keepArrived(debs: readonly DebPackage[], arriving: string, folder: string): Promise<void> {
  for (const deb of debs) {
    const from = join(arriving, debFileName(deb))
    if ((await sha256(from)) === deb.sha256) await rename(from, join(folder, debFileName(deb)))
  }
  await rm(arriving, { recursive: true, force: true })
}

const megabytes = (debs: readonly DebPackage[]): string =>
  (debs.reduce((sum, deb) => sum + deb.size, 0) / 1e6).toFixed(1)

const fileSize = async (path: string): Promise<number | undefined> =>
  stat(path).then(
    (found) => found.size,
    () => undefined,
  )

/** The sha256 (hex) of a file; undefined if it does not exist. */
const sha256 = (path: string): Promise<string | undefined> => hashFile(path, 'sha256', 'hex')

/** The hash of a file; undefined if it does not exist. */
export async function hashFile(
  path: string,
  algorithm: 'sha256' | 'sha512',
  encoding: 'hex' | 'base64',
): Promise<string | undefined> {
  const hash = createHash(algorithm)
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  return hash.digest(encoding)
}
