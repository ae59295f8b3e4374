import { join } from 'node:path'
import type { Catalog } from './catalog/catalog.ts'
import { openSqliteCatalog } from './catalog/sqlite.ts'
import type { Config } from './config.ts'
import type { Postgres } from './postgres/pool.ts'

export type CatalogOptions = {
  /** Gets a line when the database fails. */
  readonly warn: (line: string) => void
  /** Milliseconds to wait for a SQLite file that another process has locked; a server's is short. */
  readonly lockPatience?: number | undefined
}

/** The catalog, and the database that it is in if that is PostgreSQL. Closing the catalog closes both. */
export type OpenedCatalog = { readonly catalog: Catalog; readonly postgres: Postgres | undefined }

/** The catalog that the configuration names; PostgreSQL's client is loaded only for it. @throws STORE_UNAVAILABLE */
export async function openConfiguredCatalog(config: Config, options: CatalogOptions): Promise<OpenedCatalog> {
  const { warn, lockPatience } = options
  const { NIXERY_DATABASE_URL: url, NIXERY_DATABASE_DIRECT_URL: directUrl = url } = config
  if (url === undefined || directUrl === undefined) {
    const catalog = await openSqliteCatalog(catalogFile(config), {
      warn,
      ...(lockPatience !== undefined && { busyTimeout: lockPatience }),
    })
    return { catalog, postgres: undefined }
  }
  const [{ openPool }, { openPostgresCatalog }] = await Promise.all([
    import('./postgres/pool.ts'),
    import('./catalog/postgres.ts'),
  ])
  const postgres = await openPool({ url, most: config.NIXERY_DATABASE_CONNECTIONS })
  try {
    const catalog = await openPostgresCatalog({ postgres, directUrl, warn })
    const close = async () => {
      await catalog.close()
      await postgres.close()
    }
    return { catalog: { ...catalog, close }, postgres }
  } catch (error) {
    await postgres.close()
    throw error
  }
}

/** The path of the SQLite file, which may not exist. */
export const catalogFile = ({ NIXERY_DATA }: Pick<Config, 'NIXERY_DATA'>): string =>
  join(NIXERY_DATA, 'catalog.db')
