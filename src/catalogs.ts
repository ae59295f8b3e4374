import { join } from 'node:path'
import type { Catalog } from './catalog/catalog.ts'
import { checkDisk } from './catalog/network-disk.ts'
import { openSqliteCatalog } from './catalog/sqlite.ts'
import type { Config } from './config.ts'
import type { Listener } from './postgres/listener.ts'
import type { Postgres } from './postgres/pool.ts'

export type CatalogOptions = {
  /** Gets a line when the database fails. */
  readonly warn: (line: string) => void
  /** Milliseconds to wait for a SQLite file that another process has locked; a server's is short. */
  readonly lockPatience?: number | undefined
  /** Whether this process is told of what others change in PostgreSQL: all that live for longer than a command. */
  readonly listens?: boolean | undefined
}

/** The catalog, and the database that it is in if that is PostgreSQL. Closing the catalog closes all of it. */
export type OpenedCatalog = {
  readonly catalog: Catalog
  readonly postgres: Postgres | undefined
  readonly listener: Listener | undefined
}

/** The catalog that the configuration names; PostgreSQL's client is loaded only for it. @throws CONFIG_INVALID, STORE_UNAVAILABLE */
export async function openConfiguredCatalog(config: Config, options: CatalogOptions): Promise<OpenedCatalog> {
  const { warn, lockPatience, listens = false } = options
  const { NIXERY_DATABASE_URL: url, NIXERY_DATABASE_DIRECT_URL: directUrl = url } = config
  if (url === undefined || directUrl === undefined) {
    checkDisk(catalogFile(config), { isAllowed: config.NIXERY_SQLITE_NETWORK === 'on', warn })
    const catalog = await openSqliteCatalog(catalogFile(config), {
      warn,
      ...(lockPatience !== undefined && { busyTimeout: lockPatience }),
    })
    return { catalog, postgres: undefined, listener: undefined }
  }
  const [{ openPool }, { openListener }, { openPostgresCatalog }] = await Promise.all([
    import('./postgres/pool.ts'),
    import('./postgres/listener.ts'),
    import('./catalog/postgres.ts'),
  ])
  const postgres = await openPool({ url, most: config.NIXERY_DATABASE_CONNECTIONS })
  let listener: Listener | undefined
  try {
    if (listens) listener = await openListener({ url: directUrl, warn })
    const catalog = await openPostgresCatalog({ postgres, directUrl, listener, warn })
    const close = async () => {
      await catalog.close()
      await listener?.close()
      await postgres.close()
    }
    return { catalog: { ...catalog, close }, postgres, listener }
  } catch (error) {
    await listener?.close()
    await postgres.close()
    throw error
  }
}

/** The path of the SQLite file, which may not exist. */
export const catalogFile = ({ NIXERY_DATA }: Pick<Config, 'NIXERY_DATA'>): string =>
  join(NIXERY_DATA, 'catalog.db')

/**
 * Seconds from when a blob is found not to be needed until it is deleted: longer than any pull, where other machines may
 * just be giving it. Undefined where there are no others.
 */
export const deletionDelay = ({ NIXERY_DATABASE_URL: url }: Config): number | undefined =>
  url === undefined ? undefined : 3600
