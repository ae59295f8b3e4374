import { parseArgs } from 'node:util'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { runFleetFaults } from '../test/reliability/fleet.ts'
import { folderIn, freePort, openFleetWorld } from '../test/reliability/fleet-world.ts'
import { startBuckets, type Buckets } from '../test/support/buckets.ts'
import { startHaproxy } from '../test/support/haproxy.ts'
import { openWorkspace } from '../test/support/workspace.ts'
import { ensurePrograms } from './install.ts'

const usage = `usage: npm run fleet -- [options]
  --faults N   how often something goes wrong (200)
  --fronts N   how many front ends there are (3)
  --workers N  how many workers there are (2)
  --store WHAT filesystem or s3 (s3)
  --outage N   for how many milliseconds the database is away (30000)
  --seed N     what chooses the faults; the same seed chooses the same`

const { values: options } = parseArgs({
  options: {
    faults: { type: 'string', default: '200' },
    fronts: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    store: { type: 'string', default: 's3' },
    outage: { type: 'string', default: '30000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    help: { type: 'boolean', default: false },
  },
})

const say = (line: string) => process.stdout.write(`${line}\n`)

async function main(): Promise<void> {
  if (options.help) {
    say(usage)
    return
  }
  await ensurePrograms(['nix-store', 'libdeflate.so.0', 'initdb', 'haproxy'], say)
  const [seed, outage] = [Number(options.seed), Number(options.outage)]
  say(`seed ${seed}`)
  const started = performance.now()
  const buckets = options.store === 's3' ? await startBuckets() : undefined
  const workspace = await openWorkspace()
  try {
    const world = await openFleetWorld(workspace, {
      fronts: Number(options.fronts),
      workers: Number(options.workers),
      images: 40,
      settings: buckets ? await settingsOf(buckets) : {},
    })
    try {
      const fronts = world.members.flatMap(({ role, address }) => (role === 'front' ? [address] : []))
      const file = folderIn(workspace, 'haproxy.cfg')
      const haproxy = await startHaproxy(file, await freePort(), fronts)
      try {
        const figures = await runFleetFaults(world, {
          seed,
          faults: Number(options.faults),
          outage,
          // A lease, a poll, and what a busy machine takes.
          limit: outage + 60_000,
          balancer: haproxy.address,
          say,
        })
        for (const [name, value] of Object.entries(figures)) say(`${name}: ${Math.round(value)}`)
      } finally {
        await haproxy.stop()
      }
    } finally {
      await world.fleet.dispose()
    }
  } finally {
    await workspace.dispose()
    await buckets?.stop()
  }
  say(`seconds: ${Math.round((performance.now() - started) / 1000)}`)
}

/** A bucket of its own, behind which clients need not look. */
async function settingsOf({ ceph }: Buckets): Promise<Record<string, string>> {
  const { endpoint, accessKeyId, secretAccessKey } = ceph
  const bucket = 'fleet'
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

await main()
