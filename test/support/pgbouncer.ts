import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import pg from 'pg'
import { freePort } from './ports.ts'
import { until } from './until.ts'

export type Pgbouncer = {
  /** The URL of a database through the pooler. @param direct its URL without */
  url(direct: string): string
  stop(): Promise<void>
}

/**
 * Starts pgbouncer before a PostgreSQL server, with transaction pooling over a few connections for each database, so that
 * statements of one client run on several of them.
 * @param folder an existing folder for its files
 * @param server the URL of any database of the server
 */
export async function startPgbouncer(folder: string, server: string): Promise<Pgbouncer> {
  const { hostname, port: serverPort, username } = new URL(server)
  const port = await freePort()
  const users = join(folder, 'users.txt')
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(users, `"${username}" ""\n`)
  await writeFile(
    file,
    `[databases]
* = host=${hostname} port=${serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
`,
  )
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0
  await chmod(folder, 0o755)
  const pgbouncer = execa('pgbouncer', [...(isRoot ? ['-u', 'nobody'] : []), file], {
    env: { PATH: `${process.env['PATH']}:/usr/sbin` },
    reject: false,
    stdin: 'ignore',
  })
  const url = (direct: string) => Object.assign(new URL(direct), { port: String(port) }).href
  const responds = async () => {
    const client = new pg.Client({ connectionString: url(server) })
    client.on('error', () => {})
    try {
      await client.connect()
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => {})
    }
  }
  const ended = pgbouncer.then(({ stderr }) => {
    throw new Error(`pgbouncer ended: ${stderr}`)
  })
  ended.catch(() => {}) // `stop` ends it, too
  await Promise.race([until(responds, 'pgbouncer responds'), ended])
  return {
    url,
    async stop() {
      pgbouncer.kill()
      await pgbouncer
    },
  }
}
