import { z } from 'zod'
import { oneOf, whole } from './values.ts'

/** The URL of a PostgreSQL database. An invalid one is not shown, because it may contain a password. */
const databaseUrl = z
  .string()
  .transform((text, context) => {
    const { protocol = '', pathname = '' } = URL.parse(text) ?? {}
    if (/^postgres(?:ql)?:$/.test(protocol) && pathname.length > 1) return text
    context.addIssue('must be the URL of a database, such as postgresql://user:password@host:5432/nixery')
    return z.NEVER
  })
  .meta({ form: 'the URL of a PostgreSQL database' })

/** The location of the catalog. */
export const databaseSettings = {
  NIXERY_DATABASE_URL: databaseUrl
    .optional()
    .describe(
      'PostgreSQL database for the catalog, such as `postgresql://user:password@host:5432/nixery`; a SQLite file in NIXERY_DATA if not set',
    )
    .meta({ secret: true }),
  NIXERY_DATABASE_DIRECT_URL: databaseUrl
    .optional()
    .describe(
      'URL of the same database without a connection pooler, for notifications and for changing tables; `NIXERY_DATABASE_URL` if not set',
    )
    .meta({ secret: true }),
  NIXERY_DATABASE_CONNECTIONS: whole('a number of connections', 2, 1_000)
    .default(10)
    .describe(
      'maximum number of connections to the database; notifications use one more, and leases another one on workers',
    ),
  NIXERY_SQLITE_NETWORK: oneOf('on', 'off')
    .default('off')
    .describe(
      '`on` allows the SQLite catalog on a network disk, if only one machine ever uses it; otherwise a new one is refused there, and an existing one causes a warning',
    ),
}
