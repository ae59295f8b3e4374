import { globSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import pg from 'pg'
import { freePort } from '../../test/support/ports.ts'

/** A PostgreSQL server for tests. Its databases use a language's collation, as those of operators may. */
export type TestPostgres = {
  /** Creates an empty database, and returns its URL. */
  database(): Promise<string>
  /** Runs statements in a database, and returns the rows of the last one. */
  run(url: string, sql: string): Promise<Record<string, unknown>[]>
  /** Ends all other connections to a database. */
  disconnect(url: string): Promise<void>
  /** Stops the server, immediately or by killing it. It keeps its port and data. */
  stop(signal?: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void>
  start(): Promise<void>
  /** Stops the server, and removes its data. */
  dispose(): Promise<void>
}

const [programs] = globSync('/usr/lib/postgresql/*/bin').sort((a, b) =>
  b.localeCompare(a, 'en', { numeric: true }),
)

/** Why tests that need PostgreSQL are skipped on this machine; false if they are not. */
export const noPostgres: string | false = programs === undefined && 'PostgreSQL is not installed'

/**
 * Starts Debian's PostgreSQL on a free port of 127.0.0.1, as the user `postgres` if this process is root's, which
 * PostgreSQL refuses.
 */
export async function startPostgres(): Promise<TestPostgres> {
  const bin = programs ?? ''
  const folder = await mkdtemp(join(tmpdir(), 'nixery-postgres-'))
  const user = process.getuid?.() === 0 ? await userNamed('postgres') : undefined
  if (user) await chown(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const as = { ...user, cwd: folder, env: { LC_ALL: 'C.UTF-8' } }
  // Every system has this locale; the collation comes from ICU.
  const order = ['--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US', '--encoding=UTF8']
  await execa(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', ...order], as)
  const port = await freePort()
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    shared_buffers: '16MB',
    max_connections: 60,
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])

  const launch = () => {
    const server = execa(join(bin, 'postgres'), ['-D', data, ...args], {
      ...as,
      buffer: false,
      reject: false,
      stdin: 'ignore',
      stdout: 'ignore',
    })
    const said: string[] = []
    const ready = new Promise<void>((resolve, reject) => {
      createInterface({ input: server.stderr })
        .on('line', (line) => {
          said.push(line)
          if (line.includes('ready to accept connections')) resolve()
        })
        .on('close', () => reject(new Error(`PostgreSQL ended:\n${said.join('\n')}`)))
    })
    return { server, ready }
  }
  let { server, ready } = launch()
  await ready
  const urlOf = (name: string) => `postgresql://postgres@127.0.0.1:${port}/${name}`
  const run: TestPostgres['run'] = async (url, sql) => {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    try {
      const results = [await client.query<Record<string, unknown>>(sql)].flat()
      return results.at(-1)?.rows ?? []
    } finally {
      await client.end()
    }
  }
  const stop: TestPostgres['stop'] = async (signal = 'SIGINT') => {
    server.kill(signal)
    await server
  }
  let count = 0
  return {
    run,
    stop,
    async database() {
      count += 1
      await run(urlOf('postgres'), `create database test_${count}`)
      return urlOf(`test_${count}`)
    },
    async disconnect(url) {
      const others = 'datname = current_database() and pid <> pg_backend_pid()'
      await run(url, `select pg_terminate_backend(pid) from pg_stat_activity where ${others}`)
    },
    async start() {
      ;({ server, ready } = launch())
      await ready
    },
    async dispose() {
      await stop('SIGQUIT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function userNamed(name: string): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((which) => execa('id', [which, name])))
  return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) }
}
