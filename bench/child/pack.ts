/**
 * Packs layers like a build: gives all of them to the pool, largest first. A separate process; its argument is a
 * `PackJob` as JSON, its environment that of a server; it prints a `PackResult`.
 */
import { rm, writeFile } from 'node:fs/promises'
import { readConfig } from '../../src/config.ts'
import type { StorePath } from '../../src/image/store-path.ts'
import { openState } from '../../src/state.ts'
import { openWorker } from '../../src/worker.ts'
import { memoryOf } from '../processes.ts'

export type PackJob = {
  /** The store paths of each layer, with their bytes. */
  readonly layers: readonly { readonly paths: readonly string[]; readonly size: number }[]
  readonly rounds: number
  /** Whether to run one more round first, unmeasured. */
  readonly warm: boolean
}
export type PackResult = {
  readonly ms: readonly number[]
  /** Milliseconds of CPU time of each round. */
  readonly cpu: readonly number[]
  /** Bytes of all packed layers. */
  readonly compressed: number
  /** Resident bytes before the first round, and their peak since. */
  readonly idle: number
  readonly peak: number
}

const job = JSON.parse(process.argv[2] ?? '') as PackJob
const fail = (line: string) => process.stderr.write(`${line}\n`)
const config = readConfig(process.env)
const state = await openState(config, { warn: fail })
const worker = await openWorker(config, state, { listener: () => {}, note: () => {}, warn: fail })
const layers = job.layers.toSorted((a, b) => b.size - a.size)

async function round(): Promise<number> {
  const sizes = layers.map(async ({ paths, size }) => {
    const pieces = paths.map((path) => ({ storePath: path as StorePath }))
    const { layer, file } = await worker.packer.pack(pieces, { size })
    await rm(file)
    return layer.size
  })
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

try {
  if (job.warm) await round()
  const idle = (await memoryOf(process.pid)).now
  await writeFile('/proc/self/clear_refs', '5') // resets the peak (proc(5))
  const ms: number[] = []
  const cpu: number[] = []
  let compressed = 0
  for (let count = 0; count < job.rounds; count++) {
    const started = performance.now()
    const before = process.cpuUsage()
    compressed = await round()
    ms.push(performance.now() - started)
    const { user, system } = process.cpuUsage(before)
    cpu.push((user + system) / 1000)
  }
  const { peak } = await memoryOf(process.pid)
  process.stdout.write(JSON.stringify({ ms, cpu, compressed, idle, peak } satisfies PackResult))
} finally {
  await worker.close()
  await state.close()
}
