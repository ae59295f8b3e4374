import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { startPostgres } from '../src/postgres/testing.ts'
import { failOver, largeFor, planFaults, type Fault } from '../test/reliability/fleet-faults.ts'
import { folderIn, openFleetWorld, type FleetWorld } from '../test/reliability/fleet-world.ts'
import { runFleetFaults } from '../test/reliability/fleet.ts'
import { createRandom } from '../test/reliability/random.ts'
import { startBuckets, type Buckets } from '../test/support/buckets.ts'
import { startHaproxy } from '../test/support/haproxy.ts'
import { freePort } from '../test/support/nginx.ts'
import { startPatroni } from '../test/support/patroni.ts'
import { openWorkspace } from '../test/support/workspace.ts'
import { runSeeded, tryPrograms, type Say } from './seeded.ts'

type Size = {
  readonly fronts: number
  readonly workers: number
  readonly images: number
  readonly large: number
}
type How = {
  readonly seed: number
  readonly say: Say
  readonly size: Size
  readonly settings: Readonly<Record<string, string>>
  readonly postgres: () => ReturnType<typeof startPostgres>
  /** Whether the clocks of processes are an hour ahead, or behind. */
  readonly clocks: boolean
  /** Milliseconds within which an image must come. */
  readonly limit: number
  readonly plan: (world: FleetWorld, random: ReturnType<typeof createRandom>) => readonly Fault[]
}

/** Breaks one fleet behind haproxy. */
async function breakFleet({ seed, say, size, settings, postgres, clocks, limit, plan }: How) {
  const random = createRandom(seed)
  const workspace = await openWorkspace()
  try {
    const ahead = () => (clocks ? random.pick([-1, 0, 1]) : 0)
    const world = await openFleetWorld(workspace, { ...size, settings, ahead, postgres: await postgres() })
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

/** A bucket of its own for each fleet. */
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
    faults: ['how many processes are killed; other faults come between', '200'],
    fronts: ['how many front ends there are', '3'],
    workers: ['how many workers there are', '2'],
    store: ['filesystem or s3', 's3'],
    outage: ['for how many milliseconds the database or the bucket is away', '30000'],
    failovers: ['how many times patroni chooses another database server', '1'],
  },
  programs: ['nix-store', 'libdeflate.so.0', 'initdb', 'haproxy'],
  async run(options, { seed, say }) {
    const [kills, outage, failovers] = [
      Number(options.faults),
      Number(options.outage),
      Number(options.failovers),
    ]
    const size = { fronts: Number(options.fronts), workers: Number(options.workers), images: 60 }
    const clocks = await tryPrograms(['faketime'], 'clocks that differ')
    const hasPatroni = failovers > 0 && (await tryPrograms(['patroni', 'etcd'], 'failovers'))
    const buckets = options.store === 's3' ? await startBuckets() : undefined
    const settings = async (name: string) => (buckets ? settingsOf(buckets, name) : {})
    const common = { seed, say, clocks, limit: outage + 60_000 }
    try {
      const figures = await breakFleet({
        ...common,
        settings: await settings('fleet'),
        size: { ...size, large: largeFor(kills) },
        postgres: () => startPostgres(),
        plan: (world, random) => planFaults(world, random, kills, outage),
      })
      if (!hasPatroni) return figures
      say('database servers with patroni')
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
