import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { startPostgres } from '../src/postgres/testing.ts'
import { failOver, largeFor, planFaults, type Fault } from '../test/reliability/fleet-faults.ts'
import { folderIn, openFleetWorld, type FleetWorld } from '../test/reliability/fleet-world.ts'
import { runFleetFaults } from '../test/reliability/fleet.ts'
import { createRandom } from '../test/reliability/random.ts'
import { startBuckets, type Buckets } from '../test/support/buckets.ts'
import { startHaproxy } from '../test/support/haproxy.ts'
import { freePort } from '../test/support/ports.ts'
import { startPatroni } from '../test/support/patroni.ts'
import { openWorkspace } from '../test/support/workspace.ts'
import { runSeeded, tryPrograms, type Say } from './seeded.ts'

type Size = {
  readonly fronts: number
  readonly workers: number
  readonly images: number
  readonly large: number
}
type FleetRun = {
  readonly seed: number
  readonly say: Say
  readonly size: Size
  readonly settings: Readonly<Record<string, string>>
  readonly postgres: () => ReturnType<typeof startPostgres>
  readonly objectStore: FleetWorld['objectStore']
  /** Whether the processes' clocks may be an hour ahead or behind. */
  readonly clocks: boolean
  /** The time limit for each image, in ms. */
  readonly limit: number
  readonly plan: (world: FleetWorld, random: ReturnType<typeof createRandom>) => readonly Fault[]
}

/** Injects faults into a fleet behind haproxy. */
async function breakFleet({
  seed,
  say,
  size,
  settings,
  postgres,
  objectStore,
  clocks,
  limit,
  plan,
}: FleetRun) {
  const random = createRandom(seed)
  const workspace = await openWorkspace()
  try {
    const ahead = () => (clocks ? random.pick([-1, 0, 1]) : 0)
    const world = await openFleetWorld(workspace, {
      ...size,
      settings,
      ahead,
      postgres: await postgres(),
      objectStore,
    })
    try {
      const fronts = world.members.flatMap(({ role, address }) => (role === 'front' ? [address] : []))
      const haproxy = await startHaproxy(folderIn(workspace, 'haproxy.cfg'), await freePort(), fronts)
      try {
        const faults = plan(world, random)
        return await runFleetFaults(world, { random, faults, limit, balancer: haproxy.address, say })
      } finally {
        await haproxy.stop()
      }
    } finally {
      await world.dispose()
    }
  } finally {
    await workspace.dispose()
  }
}

/** Creates a bucket, and returns the settings for it. */
async function settingsOf({ ceph }: Buckets, bucket: string): Promise<Record<string, string>> {
  const { endpoint, accessKeyId, secretAccessKey } = ceph
  const client = new S3Client({ endpoint, credentials: ceph, region: 'us-east-1', forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  return {
    NIXERY_STORAGE_BACKEND: 's3',
    S3_ENDPOINT: endpoint,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY: accessKeyId,
    S3_SECRET_KEY: secretAccessKey,
  }
}

await runSeeded({
  name: 'fleet',
  options: {
    faults: ['number of processes to kill; other faults are added in proportion', '200'],
    fronts: ['number of front ends', '3'],
    workers: ['number of workers', '2'],
    store: ['filesystem or s3', 's3'],
    outage: ['duration of outages of the database or the bucket, in ms', '30000'],
    failovers: ['number of failovers to another database server, by Patroni', '1'],
  },
  programs: ['nix-store', 'libdeflate.so.0', 'initdb', 'haproxy'],
  async run(options, { seed, say }) {
    const [kills, outage, failovers] = [
      Number(options.faults),
      Number(options.outage),
      Number(options.failovers),
    ]
    const size = { fronts: Number(options.fronts), workers: Number(options.workers), images: 60 }
    const clocks = await tryPrograms(['faketime'], 'different clocks')
    const hasPatroni = failovers > 0 && (await tryPrograms(['patroni', 'etcd'], 'failovers'))
    const buckets = options.store === 's3' ? await startBuckets({ durable: true }) : undefined
    const settings = async (name: string) => (buckets ? settingsOf(buckets, name) : {})
    const common = { seed, say, clocks, objectStore: buckets?.ceph, limit: outage + 60_000 }
    try {
      const figures = await breakFleet({
        ...common,
        settings: await settings('fleet'),
        size: { ...size, large: largeFor(kills) },
        postgres: () => startPostgres(),
        plan: (world, random) => planFaults(world, random, kills, outage),
      })
      if (!hasPatroni) return figures
      say('database servers with Patroni')
      const failedOver = await breakFleet({
        ...common,
        settings: await settings('failover'),
        size: { ...size, large: 0 },
        postgres: () => startPatroni(),
        plan: (world) => Array.from({ length: failovers }, () => failOver(world)),
      })
      return { ...figures, failovers: failedOver.faults, slowestInFailover: failedOver.slowest }
    } finally {
      await buckets?.stop()
    }
  },
})
