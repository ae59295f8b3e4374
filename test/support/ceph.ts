import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { freePort } from './ports.ts'

/** The daemons of Ceph: one of each. */
export const daemons = ['monitor', 'storage', 'gateway'] as const
export type Daemon = (typeof daemons)[number]

/** A real S3 service. */
export type Ceph = {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Kills a daemon, and starts it again. Resolves when objects can be read. */
  replace(daemon: Daemon): Promise<void>
  /** Stops all daemons. */
  stop(): Promise<void>
}

export type CephOptions = {
  /** Whether objects survive a restart of the storage daemon; otherwise they are kept in memory, which is faster. */
  readonly durable?: boolean
}

// The size of the store, in bytes.
const capacity = 4 * 1024 ** 3
const startLimit = 60_000
const clusterId = '3f2a1c6e-0000-4000-8000-000000000001'

/**
 * Starts Ceph over a folder, on free ports of 127.0.0.1, in about a second. This release supports neither checksums in
 * trailers nor conditional completion of multipart uploads nor copying parts.
 * @param folder an existing, empty folder with a short path, because it holds Unix sockets
 * @throws Error with the ends of the logs if it does not start
 */
export async function startCeph(folder: string, options: CephOptions = {}): Promise<Ceph> {
  const tryIn = async (name: string) => {
    await mkdir(join(folder, name))
    return startIn(join(folder, name), options)
  }
  // Another process may take a port between the check and its use.
  return tryIn('1').catch(() => tryIn('2'))
}

async function startIn(folder: string, { durable = false }: CephOptions): Promise<Ceph> {
  const [gateway, ...monitors] = [await freePort(), await freePort(), await freePort()]
  const config = join(folder, 'ceph.conf')
  const running = new Map<Daemon, ReturnType<typeof spawnDaemon>>()
  const ended: string[] = []
  const run = (program: string, ...args: string[]) =>
    execa(program, ['-c', config, ...args], { stdin: 'ignore', timeout: startLimit })
  const start = (name: Daemon) => {
    const [program, ...args] = commands[name]
    const daemon = spawnDaemon(program, '-c', config, ...args)
    running.set(name, daemon)
    void daemon.then(() => running.get(name) === daemon && ended.push(program))
  }
  const stop = async () => {
    const all = [...running.values()].reverse()
    running.clear()
    for (const daemon of all) daemon.kill()
    await Promise.all(all)
  }

  try {
    await Promise.all(['mon', 'osd', 'rgw', 'run'].map((name) => mkdir(join(folder, name))))
    const addresses = `[v2:127.0.0.1:${monitors[0]},v1:127.0.0.1:${monitors[1]}]`
    await writeFile(config, cephConfiguration(folder, addresses, `127.0.0.1:${gateway}`, durable))
    await writeFile(join(folder, 'keyring'), cephKeyring())
    const map = join(folder, 'monmap')
    await execa('monmaptool', ['--create', '--fsid', clusterId, '--addv', 'a', addresses, map])
    await run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', join(folder, 'keyring'))
    start('monitor')
    const osdId = '3f2a1c6e-0000-4000-8000-000000000002'
    await run('ceph', '--connect-timeout', '15', 'osd', 'new', osdId, '0')
    await run('ceph-osd', '--mkfs', '-i', '0', '--osd-uuid', osdId)
    start('storage')
    const accessKeyId = 'test-access-key'
    const secretAccessKey = 'test-secret-key'
    await run(
      'radosgw-admin',
      '--name=client.rgw',
      'user',
      'create',
      '--uid=test',
      '--display-name=test',
      `--access-key=${accessKeyId}`,
      `--secret-key=${secretAccessKey}`,
    )
    start('gateway')
    const endpoint = `http://127.0.0.1:${gateway}`
    const untilReady = async () => {
      const end = performance.now() + startLimit
      while (!(await answers(endpoint))) {
        if (ended.length > 0) throw new Error(`${ended.join(', ')} ended`)
        if (performance.now() > end) throw new Error('the gateway did not respond in time')
        await delay(50)
      }
    }
    await untilReady()
    const replace = async (name: Daemon) => {
      const old = running.get(name)
      running.delete(name)
      old?.kill()
      await old
      start(name)
      await untilReady()
      // The gateway responds before the storage daemon does, and does not read this pool to list buckets.
      await run('rados', '-p', '.rgw.root', 'ls')
    }
    return { endpoint, accessKeyId, secretAccessKey, replace, stop }
  } catch (error) {
    await stop()
    throw new Error(`Ceph did not start:\n${await logTails(folder)}`, { cause: error })
  }
}

const commands = {
  monitor: ['ceph-mon', '-i', 'a'],
  storage: ['ceph-osd', '-i', '0'],
  gateway: ['radosgw', '--name=client.rgw'],
} as const satisfies Record<Daemon, readonly [string, ...string[]]>

// SIGKILL loses nothing that a test needs, and the gateway takes a while to stop on SIGTERM.
const spawnDaemon = (program: string, ...args: readonly string[]) =>
  execa(program, [...args, '-f'], { stdio: 'ignore', reject: false, killSignal: 'SIGKILL' })

/** The last lines of all logs. */
async function logTails(folder: string): Promise<string> {
  const logs = (await readdir(folder)).filter((name) => name.endsWith('.log'))
  const ends = logs.map(async (name) => {
    const text = await readFile(join(folder, name), 'utf8')
    return [name, ...text.trimEnd().split('\n').slice(-5)].join('\n  ')
  })
  return (await Promise.all(ends)).join('\n')
}

/** Whether Ceph responds there: it lists the buckets of an anonymous user, who has none. */
const answers = (address: string): Promise<boolean> =>
  fetch(address, { signal: AbortSignal.timeout(1000) }).then(
    async (response) => (await response.text()).includes('ListAllMyBucketsResult'),
    () => false, // not yet
  )

/** The daemons' secrets in Ceph's format: type 1, no creation time, 16 bytes. */
export function cephKeyring(): string {
  const key = () =>
    Buffer.concat([Buffer.from('010000000000000000001000', 'hex'), randomBytes(16)]).toString('base64')
  const all = ['mon = "allow *"', 'osd = "allow *"', 'mgr = "allow *"']
  const section = (name: string, rights: readonly string[]) =>
    [`[${name}]`, `key = ${key()}`, ...rights.map((right) => `caps ${right}`), ''].join('\n')
  return [
    section('mon.', ['mon = "allow *"']),
    section('client.admin', all),
    section('osd.0', ['mon = "allow profile osd"', 'osd = "allow *"', 'mgr = "allow profile osd"']),
    section('client.rgw', all),
  ].join('\n')
}

/**
 * A configuration of Ceph with its state in a folder.
 * @param monitors the addresses of the monitor
 * @param gateway the address of the S3 gateway, as `host:port`
 * @param durable whether objects are kept in a file
 */
export function cephConfiguration(
  folder: string,
  monitors: string,
  gateway: string,
  durable = false,
): string {
  const libraries = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
  return `[global]
fsid = ${clusterId}
mon_host = ${monitors}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
keyring = ${folder}/keyring
auth_allow_insecure_global_id_reclaim = true
mon_allow_pool_size_one = true
mon_data_avail_warn = 1
mon_data_avail_crit = 0
mon_max_pg_per_osd = 1000
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_class_dir = ${libraries}/rados-classes
osd_objectstore = ${durable ? 'bluestore' : 'memstore'}
memstore_device_bytes = ${capacity}
bluestore_block_size = ${capacity}
osd_memory_target = 939524096
paxos_propose_interval = 0.05
log_file = ${folder}/$name.log
run_dir = ${folder}/run
pid_file = ${folder}/run/$name.pid
admin_socket = ${folder}/run/$name.asok
[mon.a]
mon_data = ${folder}/mon
[osd.0]
osd_data = ${folder}/osd
[client.rgw]
rgw_data = ${folder}/rgw
rgw_frontends = beast endpoint=${gateway}
rgw_enable_apis = s3
`
}
