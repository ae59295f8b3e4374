import { PostgresDialect, type Dialect, type PostgresPool, type PostgresPoolClient } from 'kysely'
import type { PoolClient } from 'pg'
import { connectionOptions, loadPg } from './connection-options.ts'
import { isDisconnected } from './errors.ts'

export type PoolOptions = {
  /** `postgresql://…` */
  readonly url: string
  /** The maximum number of connections, which are opened on demand. */
  readonly most?: number
  /** Milliseconds after which a statement counts as lost. */
  readonly queryTimeout?: number
  /** Milliseconds from one statement of a transaction to the next, after which the server ends the transaction. */
  readonly idleInTransaction?: number
}

/** Connections to a PostgreSQL database, shared by all users in this process. */
export type Postgres = {
  /** A dialect for Kysely. Destroying a Kysely instance keeps the connections open for other users. */
  readonly dialect: Dialect
  close(): Promise<void>
}

/**
 * Connects when the first statement is sent, so it does not fail if the server is unreachable. Lost connections are
 * replaced.
 * @throws SETUP_FAILED if the npm package is missing
 */
export async function openPool(options: PoolOptions): Promise<Postgres> {
  const { url, most = 10, queryTimeout = 15_000, idleInTransaction = 10_000 } = options
  // A process that is cut off from the network in the middle of a transaction would keep its locks for hours, until the server
  // notices. Set for the transaction alone, and with it, so that this works behind a pooler and costs no round trip.
  const begin = `begin; set local idle_in_transaction_session_timeout = ${Math.ceil(idleInTransaction)}`
  const pg = await loadPg()
  const pool = new pg.Pool({
    ...connectionOptions(pg, url, queryTimeout),
    max: most,
    idleTimeoutMillis: 60_000,
    // After a failover, connections move to the new server in time.
    maxLifetimeSeconds: 3600,
  })
  // Dropped connections emit an event, which ends the process if it has no listener. The pool has removed an idle one
  // by then; one in use fails with its next statement.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))

  const known = new WeakMap<PoolClient, Connection>()
  // If a server disappears silently, each connection to it would make one caller wait for the statement timeout. So
  // after one is lost, all others that have not responded since are discarded.
  let lostSince = -Infinity
  const onLost = (sentAt: number) => {
    lostSince = Math.max(lostSince, sentAt)
  }
  const shared: PostgresPool = {
    options: {},
    async connect() {
      for (;;) {
        const client = await pool.connect()
        const connection = known.get(client) ?? watched(client, { onLost, begin })
        known.set(client, connection)
        if (connection.answeredAt >= lostSince) return connection
        client.release(true)
      }
    },
    end: () => Promise.resolve(),
  }
  return { dialect: new PostgresDialect({ pool: shared }), close: () => pool.end() }
}

/** A connection, and the time when it last answered a statement or was opened: milliseconds of the process's clock. */
type Connection = PostgresPoolClient & { readonly answeredAt: number }

/**
 * A connection that is closed when it is released after it was lost. The pool would pass a connection with a timed-out
 * statement to the next caller, which would wait behind that statement.
 * @param onLost called with the time when the unanswered statement was sent
 * @param begin the statement that starts a transaction
 */
function watched(
  client: PoolClient,
  { onLost, begin }: { readonly onLost: (sentAt: number) => void; readonly begin: string },
): Connection {
  let isLost = false
  let answeredAt = performance.now()
  const query = async (text: string, values: readonly unknown[] = []) => {
    const sentAt = performance.now()
    try {
      const result = await (text === 'begin' ? client.query(begin) : client.query(text, [...values]))
      answeredAt = performance.now()
      return result
    } catch (error) {
      if (!isLost && isDisconnected(error)) {
        isLost = true
        onLost(sentAt)
      }
      throw error
    }
  }
  return {
    get answeredAt() {
      return answeredAt
    },
    // The other signature is for cursors, which are not used here.
    query: query as unknown as PostgresPoolClient['query'],
    release: (discard) => client.release(isLost || discard === true),
  }
}
