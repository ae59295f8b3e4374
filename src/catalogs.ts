import { join } from 'node:path'
import type { Catalog } from './catalog/catalog.ts'
import { checkDisk } from './catalog/network-disk.ts'
import { openSqliteCatalog } from './catalog/sqlite.ts'
import type { Config } from './config.ts'
import type { Listener } from './postgres/listener.ts'
import type { Postgres } from './postgres/pool.ts'

export type CatalogOptions = {
  /** Receives a line when the database fails. */
  readonly warn: (line: string) => void
  /** Milliseconds to wait for a SQLite file that another process has locked; short for a server. */
  readonly lockPatience?: number | undefined
  /**
   * Whether this process is notified of changes by others in PostgreSQL: needed for processes that live longer than a
   * command.
   */
  readonly listens?: boolean | undefined
}

/** The catalog, and its database if that is PostgreSQL. Closing the catalog closes both. */
export type OpenedCatalog = {
  readonly catalog: Catalog
  readonly postgres: Postgres | undefined
  readonly listener: Listener | undefined
}

/**
 * Opens the configured catalog; loads PostgreSQL's client only if it is needed.
 * @throws CONFIG_INVALID, STORE_UNAVAILABLE
 */
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
 * Seconds between the time when a blob is found unneeded and its deletion: longer than any pull, because other machines
 * may be serving it. Undefined if there are no others.
 */
export const deletionDelay = ({ NIXERY_DATABASE_URL: url }: Config): number | undefined =>
  url === undefined ? undefined : 3600
