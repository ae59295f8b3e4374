import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf, hexOf } from '../../src/image/digest.ts'
import { mediaTypes } from '../../src/image/oci.ts'
import { makeCache } from '../support/binary-cache.ts'
import {
  buildPackages,
  caches,
  digestOf as digestIn,
  openCacheImages,
  type CacheImages,
} from '../support/cache-images.ts'
import { createRandom, type Random } from './random.ts'
import { startVictim, type Victim } from './victim.ts'

export type DownloadKillOptions = {
  readonly seed: number
  readonly kills: number
  readonly say: (line: string) => void
}

const names = ['odd', 'apart', 'plain', 'odd/plain']
const compressions = ['xz', 'zstd', 'none'] as const
const piece = 32 * 1024
/** The number of kills with the same data folder, before the next one gets a new folder. */
const killsPerData = 2

/**
 * Kills servers while they download from a slow binary cache. After each kill every blob must have its digest; after the
 * last one with a data folder, every image must build with the same digest as from the store.
 * @throws AssertionError
 */
export async function runDownloadKills({ seed, kills, say }: DownloadKillOptions) {
  const random = createRandom(seed)
  const figures = { downloadKills: 0, killedInDownloads: 0, blobsVerified: 0 }
  const images = await openCacheImages()
  const cache = await serveSlowly(images.root)
  try {
    const paths = await buildPackages(images.set, ['odd', 'apart', 'plain'])
    for (const compression of compressions)
      await makeCache(join(images.root, compression), paths, { compression, secret: images.key.secret })
    const { digests } = await images.build(names, {})
    while (figures.downloadKills < kills) {
      const count = figures.downloadKills
      const folder = join(images.workspace.folder, `killed ${Math.floor(count / killsPerData)}`)
      const address = `${cache.url}/${random.pick(compressions)}`
      const received = await killOnce({
        images,
        cache,
        random,
        environment: settings(images, folder, address),
      })
      figures.downloadKills += 1
      if (received > 0) figures.killedInDownloads += 1
      figures.blobsVerified += await verifyBlobs(join(folder, 'store', 'layers'))
      const isLast = figures.downloadKills % killsPerData === 0 || figures.downloadKills === kills
      // Builds all images at full speed; the next kill uses a new folder.
      if (isLast) {
        cache.pause = 0
        const { worker } = await images.open(caches(address), folder)
        try {
          for (const [index, name] of names.entries())
            assert.equal(await digestIn(worker, name), digests[index], `seed ${seed}, ${name}`)
        } finally {
          await worker.close()
        }
      }
      say(
        `download kill ${figures.downloadKills} after ${received} bytes; ${figures.blobsVerified} blobs verified`,
      )
    }
  } finally {
    await cache.close()
    await images.dispose()
  }
  return figures
}

const settings = (images: CacheImages, folder: string, address: string) => ({
  NIXERY_PKGS_PATH: images.set,
  NIXERY_TRUSTED_KEYS: images.key.text,
  NIXERY_DATA: folder,
  STORAGE_PATH: join(folder, 'store'),
  ...caches(address),
})

type SlowCache = Awaited<ReturnType<typeof serveSlowly>>

/** @returns the number of NAR bytes that the cache had sent */
async function killOnce(round: {
  readonly images: CacheImages
  readonly cache: SlowCache
  readonly random: Random
  readonly environment: Record<string, string>
}): Promise<number> {
  const { cache, random, environment } = round
  cache.pause = 1 + random.below(4)
  cache.sent = 0
  const limit = random.below(2_600_000)
  const victim = startVictim({ environment })
  try {
    const address = await victim.address
    const pulls = Promise.allSettled(names.map((name) => pull(victim, address, name)))
    const settled = new AbortController()
    void pulls.then(() => settled.abort())
    while (cache.sent < limit && !settled.signal.aborted) await sleep(2)
    await victim.kill()
    await pulls
    assert.deepEqual(victim.stray, [])
    return cache.sent
  } finally {
    await victim.kill()
  }
}

async function pull(victim: Victim, address: string, name: string): Promise<void> {
  const response = await fetch(`http://${address}/v2/${name}/manifests/latest`, {
    headers: { Accept: mediaTypes.oci.manifest },
  }).catch((error: unknown) => {
    if (victim.isKilled()) return undefined
    throw error
  })
  assert.ok(!response || response.ok || victim.isKilled(), `${name}: ${response?.status}`)
}

/** Verifies the digests of all blobs in a folder, and returns their number. */
async function verifyBlobs(folder: string): Promise<number> {
  const files = (await readdir(folder).catch(() => [])).filter((name) => /^[0-9a-f]{64}$/.test(name))
  for (const name of files) assert.equal(hexOf(digestOf(await readFile(join(folder, name)))), name)
  return files.length
}

/** Serves a folder in small pieces, with a pause of `pause` ms after each. */
async function serveSlowly(root: string) {
  const state = { pause: 0, sent: 0 }
  const server = createServer((request, response) => {
    void (async () => {
      const bytes = await readFile(join(root, request.url ?? '/')).catch(() => undefined)
      if (!bytes) return response.writeHead(404).end()
      response.writeHead(200, { 'Content-Length': bytes.length })
      for (let at = 0; at < bytes.length && !response.destroyed; at += piece) {
        response.write(bytes.subarray(at, at + piece))
        if (request.url?.includes('/nar/')) state.sent += piece
        if (state.pause > 0) await sleep(state.pause)
      }
      return response.end()
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
}
