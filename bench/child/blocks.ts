/**
 * Processes the tar blocks of store paths on several threads, with all blocks in memory before the clock starts: the
 * speed of packing if reading, tar and writing were free. A separate process; its argument is a `BlocksJob` as JSON, its
 * environment that of a server; it prints a `BlocksResult`.
 */
import { createHash } from 'node:crypto'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import type { StorePath } from '../../src/image/store-path.ts'
import { storePathEntries } from '../../src/contents/local-entries.ts'
import { blockSize, tarBlocks } from '../../src/layers/archive.ts'
import { readConfig } from '../../src/config.ts'
import { openCodec } from '../../src/layers/codec.ts'
import { openCompressor } from '../../src/layers/compressor.ts'

export type BlocksJob = {
  readonly what: 'compressor' | 'gzip -6' | 'sha256'
  readonly paths: readonly string[]
  readonly threads: number
  /** Measured rounds, after one that is not measured. */
  readonly rounds: number
  /** Read at most this many bytes. */
  readonly limit: number
}
export type BlocksResult = {
  readonly bytes: number
  readonly ms: readonly number[]
  /** Bytes of output; 0 for sha256. */
  readonly compressed: number
}

type Counted = { readonly bytes: number; readonly compressed: number }

/** The blocks of one thread: every nth, so that all threads have the same amount of work. */
function blocksOf({ paths, threads, limit }: BlocksJob, thread: number): Uint8Array[] {
  const own: Uint8Array[] = []
  let [index, bytes] = [0, 0]
  for (const path of paths) {
    for (const block of tarBlocks(storePathEntries(path as StorePath))) {
      if (bytes >= limit) return own
      if (index % threads === thread) own.push(block)
      index += 1
      bytes += block.length
    }
  }
  return own
}

/** Prepares the work on a thread's blocks; the work returns the bytes of output. */
async function workOf(what: BlocksJob['what']): Promise<(blocks: readonly Uint8Array[]) => number> {
  if (what === 'sha256') {
    return (blocks) => {
      const hash = createHash('sha256')
      for (const block of blocks) hash.update(block)
      hash.digest()
      return 0
    }
  }
  const total = (blocks: readonly Uint8Array[], compress: (block: Uint8Array) => number) =>
    blocks.reduce((sum, block) => sum + compress(block), 0)
  if (what === 'gzip -6') return (blocks) => total(blocks, (block) => gzipSync(block, { level: 6 }).length)
  const { engine } = await openCompressor(readConfig(process.env).NIXERY_COMPRESSION, () => {})
  const codec = await openCodec(engine)
  const into = new Uint8Array(2 * blockSize)
  return (blocks) => total(blocks, (block) => codec.compress(block, into))
}

if (isMainThread) {
  const job = JSON.parse(process.argv[2] ?? '') as BlocksJob
  const workers = Array.from(
    { length: job.threads },
    (_, thread) => new Worker(import.meta.filename, { workerData: { job, thread } }),
  )
  const ask = async (question: string): Promise<Counted> => {
    const answers = workers.map(
      (worker) =>
        new Promise<Counted>((resolve, reject) => {
          worker.once('message', resolve)
          worker.once('error', reject)
          // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
          worker.postMessage(question)
        }),
    )
    const counted = await Promise.all(answers)
    const sum = (of: keyof Counted) => counted.reduce((total, each) => total + each[of], 0)
    return { bytes: sum('bytes'), compressed: sum('compressed') }
  }
  const { bytes } = await ask('load')
  let compressed = 0
  const ms: number[] = []
  for (let round = 0; round <= job.rounds; round++) {
    const started = performance.now()
    compressed = (await ask('work')).compressed
    if (round > 0) ms.push(performance.now() - started)
  }
  process.stdout.write(JSON.stringify({ bytes, ms, compressed } satisfies BlocksResult))
  for (const worker of workers) await worker.terminate()
} else {
  const { job, thread } = workerData as { job: BlocksJob; thread: number }
  let blocks: Uint8Array[] = []
  let work: Awaited<ReturnType<typeof workOf>> | undefined
  parentPort?.on('message', (question: string) => {
    const answer = async () => {
      if (question === 'load') {
        blocks = blocksOf(job, thread)
        work = await workOf(job.what)
      }
      const compressed = question === 'work' ? (work?.(blocks) ?? 0) : 0
      const bytes = blocks.reduce((sum, block) => sum + block.length, 0)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- as above
      parentPort?.postMessage({ bytes, compressed } satisfies Counted)
    }
    void answer().catch((error: unknown) => {
      throw error
    })
  })
}
