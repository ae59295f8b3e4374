import { access, constants, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { catalogFile, openConfiguredCatalog } from '../../catalogs.ts'
import type { Config } from '../../config.ts'
import { systemErrorCode } from '../../errors.ts'
import { digestOf } from '../../image/digest.ts'
import { checkStore } from '../../store/check.ts'
import { openStore, placeOfBlobs } from '../../stores.ts'
import { problem, type Finding } from './finding.ts'

/** Milliseconds to wait for a catalog that another process has locked. */
const lockPatience = 5_000

/**
 * Checks whether blobs and the catalog can be read and written. Creates no folders, because they would have the wrong
 * owner.
 */
export async function checkStorage(config: Config): Promise<Finding[]> {
  const owner = await ownerOf(config.NIXERY_DATA)
  return [...owner, ...(await blobs(config)), ...(await catalog(config))]
}

async function blobs(config: Config): Promise<Finding[]> {
  const place = placeOfBlobs(config)
  const isFolder = config.NIXERY_STORAGE_BACKEND === 'filesystem'
  const folder = isFolder ? join(config.STORAGE_PATH, 'layers') : config.NIXERY_DATA
  try {
    const missing = await nearest(folder)
    if (missing !== folder) {
      await access(missing, constants.W_OK)
      return [{ about: 'storage', state: 'ok', message: `blobs in ${place}: created by the first start` }]
    }
    await checkStore(await openStore(config))
    return [{ about: 'storage', state: 'ok', message: `blobs in ${place} can be read and written` }]
  } catch (error) {
    const fix = isFolder
      ? `sudo chown -R nixery ${config.STORAGE_PATH} (the user of the server), or set STORAGE_PATH`
      : 'check the name of the bucket, its credentials and its endpoint'
    return [problem('storage', error, fix)]
  }
}

async function catalog(config: Config): Promise<Finding[]> {
  const isFile = config.NIXERY_DATABASE_URL === undefined
  const place = isFile ? catalogFile(config) : 'PostgreSQL'
  if (isFile && (await nearest(place).catch(() => place)) !== place) {
    return [{ about: 'storage', state: 'ok', message: `catalog in ${place}: created by the first start` }]
  }
  const warnings: string[] = []
  try {
    const opened = await openConfiguredCatalog(config, { warn: (line) => warnings.push(line), lockPatience })
    await opened.catalog.blobSize(digestOf(new Uint8Array()))
    await opened.catalog.close()
    const failures = warnings.map((message): Finding => ({ about: 'storage', state: 'warning', message }))
    return [...failures, { about: 'storage', state: 'ok', message: `catalog in ${place} can be read` }]
  } catch (error) {
    return [problem('storage', error, isFile ? `sudo chown nixery ${place}*` : 'check NIXERY_DATABASE_URL')]
  }
}

/** The server cannot change files that another user creates in these folders. */
async function ownerOf(folder: string): Promise<Finding[]> {
  const uid = await stat(folder).then(
    (stats) => stats.uid,
    () => undefined,
  )
  const own = process.getuid?.()
  if (uid === undefined || own === undefined || uid === own) return []
  return [
    {
      about: 'storage',
      state: 'warning',
      message: `${folder} belongs to the user with id ${uid}, and this command runs as ${own}: it cannot check the permissions of the server`,
      fix: `sudo -u '#${uid}' nixery --env-file /etc/nixery.env doctor`,
    },
  ]
}

/** The path itself or, if it does not exist, its nearest existing parent folder. */
async function nearest(path: string): Promise<string> {
  try {
    await stat(path)
    return path
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
    return nearest(dirname(path))
  }
}
