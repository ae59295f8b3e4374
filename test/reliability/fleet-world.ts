import { join } from 'node:path'
import type { LogLine, ServerProcess } from '../../scripts/server.ts'
import { startPostgres, type TestPostgres } from '../../src/postgres/testing.ts'
import type { Ceph } from '../support/ceph.ts'
import { clockAhead } from '../support/clock.ts'
import { startFleet, type TestFleet } from '../support/fleet.ts'
import { openNetwork, type TestNetwork } from '../support/network.ts'
import { freePort } from '../support/ports.ts'
import type { Workspace } from '../support/workspace.ts'

/** A process that is or was a member of the fleet. */
export type Incarnation = {
  readonly server: ServerProcess
  /** How far its clock is ahead, in hours. */
  readonly ahead: number
}

/** A member of the fleet: one process at a time, replaced after faults. A front end keeps its port. */
export type Member = {
  readonly role: 'front' | 'worker'
  readonly address: string
  readonly pid: number
  /** The log of the running process. */
  readonly log: readonly LogLine[]
  /** All processes so far; the last one is running. */
  readonly incarnations: readonly Incarnation[]
  /** The networks between a worker and the database and bucket; empty for front ends. */
  readonly networks: readonly TestNetwork[]
  /** Stops the process, unless it has exited, and starts another one. */
  replace(signal: NodeJS.Signals): Promise<void>
  stop(): Promise<void>
}

/** The duration of a fault, in ms since the epoch, and the affected member; by default, all members. */
export type FaultPeriod = { readonly member?: Member | undefined; readonly from: number; readonly to: number }

export type FleetWorld = {
  readonly fleet: TestFleet
  readonly members: readonly Member[]
  /** Names of images that take a moment to build. */
  readonly names: readonly string[]
  /** Names of images that take a moment to pack. */
  readonly large: readonly string[]
  readonly set: string
  /** The network between all members and the bucket, if there is one. */
  readonly bucket: TestNetwork | undefined
  /** The service with the bucket, if its daemons can be killed. */
  readonly objectStore: Pick<Ceph, 'replace'> | undefined
  /** The faults so far. */
  readonly faultPeriods: FaultPeriod[]
  dispose(): Promise<void>
}

export type FleetWorldOptions = {
  readonly fronts: number
  readonly workers: number
  readonly images: number
  readonly large?: number
  /** Further packages, in the format of `Workspace.packageSet`. */
  readonly more?: string
  /** Settings for all processes, such as those of a bucket. */
  readonly settings?: Readonly<Record<string, string>>
  /** How far the clock of the next process is ahead, in hours. */
  readonly ahead?: () => number
  readonly postgres?: TestPostgres | undefined
  readonly objectStore?: FleetWorld['objectStore']
}

/** Starts front ends and workers; the workspace stops them. */
export async function openFleetWorld(
  workspace: Workspace,
  {
    fronts,
    workers,
    images,
    large = 0,
    more = '',
    settings = {},
    ahead = () => 0,
    postgres,
    objectStore,
  }: FleetWorldOptions,
): Promise<FleetWorld> {
  const named = (kind: string, count: number) => Array.from({ length: count }, (_, n) => `${kind}${n}`)
  const [names, largeNames] = [named('p', images), named('large', large)]
  const text = (name: string) => `sleep 0.2; mkdir -p $out/bin; echo ${name} > $out/bin/${name}`
  const bytes = (name: string) => `mkdir -p $out/bin; head -c 20000000 /dev/urandom > $out/bin/${name}`
  const packages = [
    ...names.map((name) => [name, text(name)]),
    ...largeNames.map((name) => [name, bytes(name)]),
  ]
  const definitions = packages.map(([name, how]) => `${name} = run "${name}" "${how}";`).join('\n')
  const set = await workspace.packageSet(`${definitions}\n${more}`)

  const networks: TestNetwork[] = []
  const networkTo = async (url: string) => {
    const network = await openNetwork(url)
    networks.push(network)
    return network
  }
  const { S3_ENDPOINT: endpoint } = settings
  const bucket = endpoint === undefined ? undefined : await networkTo(endpoint)
  const fleet = await startFleet(
    workspace,
    {
      NIXERY_PKGS_PATH: set,
      NIXERY_MAX_WAIT: '5',
      ...settings,
      ...(bucket && { S3_ENDPOINT: originOf(bucket) }),
    },
    postgres ?? (await startPostgres()),
  )
  /** The networks between a worker and the rest of the fleet, and the settings to use them. */
  const connectWorker = async () => {
    const own = { database: await networkTo(fleet.url), store: bucket && (await networkTo(bucket.url)) }
    const environment = {
      NIXERY_DATABASE_URL: own.database.url,
      ...(own.store && { S3_ENDPOINT: originOf(own.store) }),
    }
    return { networks: [own.database, ...(own.store ? [own.store] : [])], environment }
  }
  const member = async (role: Member['role']): Promise<Member> => {
    // Clients do not connect to workers, so these can use a new port each time.
    const port = role === 'front' ? String(await freePort()) : '0'
    const connection = role === 'worker' ? await connectWorker() : { networks: [], environment: {} }
    const incarnations: Incarnation[] = []
    const start = async () => {
      const hours = ahead()
      const server = await fleet[role]({ PORT: port, ...connection.environment, ...clockAhead(hours) })
      incarnations.push({ server, ahead: hours })
      return server
    }
    let server = await start()
    return {
      role,
      incarnations,
      networks: connection.networks,
      get address() {
        return server.address
      },
      get pid() {
        return server.pid
      },
      get log() {
        return server.log
      },
      async replace(signal) {
        await server.stop(signal)
        server = await start()
      },
      async stop() {
        await server.stop()
      },
    }
  }
  const roles = [
    ...Array.from({ length: fronts }, () => 'front' as const),
    ...Array.from({ length: workers }, () => 'worker' as const),
  ]
  const members = await Promise.all(roles.map(member))
  const dispose = async () => {
    await fleet.dispose()
    for (const network of networks.reverse()) await network.close()
  }
  return { fleet, members, names, large: largeNames, set, bucket, objectStore, faultPeriods: [], dispose }
}

const originOf = ({ url }: TestNetwork): string => new URL(url).origin

/** A folder in the workspace for files that belong to no member. */
export const folderIn = (workspace: Workspace, name: string): string => join(workspace.folder, name)
