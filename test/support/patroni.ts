import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { globSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import pg from 'pg'
import type { TestPostgres } from '../../src/postgres/testing.ts'
import { startHaproxyOfDatabase } from './haproxy.ts'
import { freePort } from './ports.ts'
import { until } from './until.ts'

type Node = {
  readonly name: string
  readonly folder: string
  readonly port: number
  /** The port at which Patroni reports the server's role. */
  readonly status: number
  patroni: (PromiseLike<unknown> & { kill(signal: 'SIGKILL'): boolean }) | undefined
}

// Seconds after which a silent leader loses its lock: 20 is the minimum of Patroni 3.
const ttl = 20

/**
 * Two database servers managed by Patroni with etcd, behind haproxy. `stop` kills the leader and its Patroni, as a lost
 * machine would; `start` brings that node back as a follower.
 */
export async function startPatroni(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-patroni-'))
  const user = process.getuid?.() === 0 ? await userNamed('postgres') : undefined
  if (user) await chown(folder, user.uid, user.gid)
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()]
  const [etcdUrl, peer] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${peerPort}`]
  const options = {
    'data-dir': join(folder, 'etcd'),
    name: 'one',
    'listen-client-urls': etcdUrl,
    'advertise-client-urls': etcdUrl,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `one=${peer}`,
  }
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  const etcd = execa('etcd', ['--unsafe-no-fsync', ...args], { stdio: 'ignore', reject: false })
  const makeNode = async (name: string): Promise<Node> => {
    const node = {
      name,
      folder: join(folder, name),
      port: await freePort(),
      status: await freePort(),
      patroni: undefined,
    }
    await mkdir(node.folder)
    if (user) await chown(node.folder, user.uid, user.gid)
    await writeFile(join(folder, `${name}.yml`), JSON.stringify(configuration(node, etcdPort)))
    return node
  }
  const nodes = [await makeNode('one'), await makeNode('two')]
  const run = (node: Node) => {
    node.patroni = execa('patroni', [join(folder, `${node.name}.yml`)], {
      ...user,
      cwd: node.folder,
      env: { LC_ALL: 'C.UTF-8', HOME: node.folder },
      stdio: [
        'ignore',
        { file: join(folder, `${node.name}.log`) },
        { file: join(folder, `${node.name}.log`) },
      ],
      reject: false,
    })
  }
  const is = async (node: Node, what: 'primary' | 'replica' | 'synchronous') =>
    fetch(`http://127.0.0.1:${node.status}/${what}`).then(
      ({ status }) => status === 200,
      () => false,
    )
  const leader = async () => {
    for (const node of nodes) if (await is(node, 'primary')) return node
    return undefined
  }
  const untilSynchronous = () =>
    until(
      async () => (await Promise.all(nodes.map((node) => is(node, 'synchronous')))).includes(true),
      'the follower is synchronous',
      120,
    )

  const urlOf = (name: string) => `postgresql://postgres@127.0.0.1:${port}/${name}`
  const query: TestPostgres['run'] = async (url, text) => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
    client.on('error', () => {})
    await client.connect()
    try {
      const results = [await client.query<Record<string, unknown>>(text)].flat()
      return results.at(-1)?.rows ?? []
    } finally {
      await client.end()
    }
  }
  const [one] = nodes
  if (one) run(one)
  await until(async () => (await leader()) !== undefined, 'the first server is the leader', 120)
  for (const node of nodes) if (node !== one) run(node)
  await untilSynchronous()
  const servers = nodes.map((node) => ({ address: `127.0.0.1:${node.port}`, status: node.status }))
  const haproxy = await startHaproxyOfDatabase(join(folder, 'haproxy.cfg'), port, servers)
  // Before its first health checks, haproxy sends connections to either server.
  const reachesPrimary = () =>
    query(urlOf('postgres'), 'select pg_is_in_recovery() as follows').then(
      (rows) => rows[0]?.['follows'] === false,
      () => false,
    )
  const alwaysReachesPrimary = async () => {
    for (let turn = 0; turn < 2 * nodes.length; turn += 1) if (!(await reachesPrimary())) return false
    return true
  }
  await until(alwaysReachesPrimary, 'haproxy forwards to the primary')
  let killed: Node | undefined
  let count = 0

  const kill = async (node: Node) => {
    node.patroni?.kill('SIGKILL')
    const pid = await postmasterOf(node)
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    await node.patroni
  }
  return {
    run: query,
    async database() {
      count += 1
      await query(urlOf('postgres'), `create database test_${count}`)
      return urlOf(`test_${count}`)
    },
    async disconnect(url) {
      const others = 'datname = current_database() and pid <> pg_backend_pid()'
      await query(url, `select pg_terminate_backend(pid) from pg_stat_activity where ${others}`)
    },
    async stop() {
      killed = await leader()
      if (killed) await kill(killed)
    },
    async start() {
      if (killed) run(killed)
      await untilSynchronous()
    },
    async dispose() {
      for (const node of nodes) await kill(node)
      await haproxy.stop()
      etcd.kill('SIGKILL')
      await etcd
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** The PID of a node's server, from the first line of its lock file. */
async function postmasterOf({ folder }: Node): Promise<number | undefined> {
  const { stdout, failed } = await execa('head', ['-n1', join(folder, 'data', 'postmaster.pid')], {
    reject: false,
  })
  return failed ? undefined : Number(stdout)
}

/** Commits wait for the follower, so that a lost leader loses no commit. */
function configuration({ name, folder, port, status }: Node, etcdPort: number) {
  const local = (role: string) => `host ${role} 127.0.0.1/32 trust`
  return {
    scope: 'nixery',
    name,
    restapi: { listen: `127.0.0.1:${status}`, connect_address: `127.0.0.1:${status}` },
    etcd3: { host: `127.0.0.1:${etcdPort}` },
    bootstrap: {
      dcs: {
        ttl,
        loop_wait: 2,
        retry_timeout: 5,
        synchronous_mode: true,
        postgresql: { use_pg_rewind: true, parameters: { wal_log_hints: 'on', max_connections: 60 } },
      },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, 'data-checksums'],
      pg_hba: [local('all all'), local('replication all')],
    },
    postgresql: {
      listen: `127.0.0.1:${port}`,
      connect_address: `127.0.0.1:${port}`,
      data_dir: join(folder, 'data'),
      pgpass: join(folder, 'pgpass'),
      bin_dir: globSync('/usr/lib/postgresql/*/bin')[0],
      pg_hba: [local('all all'), local('replication all')],
      authentication: {
        superuser: { username: 'postgres' },
        replication: { username: 'postgres' },
        rewind: { username: 'postgres' },
      },
      parameters: { unix_socket_directories: folder, fsync: 'off', shared_buffers: '16MB' },
    },
  }
}

async function userNamed(name: string): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((which) => execa('id', [which, name])))
  return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) }
}
