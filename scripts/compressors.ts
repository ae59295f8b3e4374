/**
 * Measures each compressor on the closures of demo packages: CPU time of one thread, and size relative to `gzip -6`.
 * docs/compression.md has its output.
 *
 *   ./scripts/run scripts/compressors.ts [ATTRIBUTE …]
 */
import { homedir } from 'node:os'
import { execa } from 'execa'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { parseStorePath, type StorePath } from '../src/image/store-path.ts'
import { storePathEntries } from '../src/contents/local-entries.ts'
import { blockSize, tarBlocks } from '../src/layers/archive.ts'
import { openCodec } from '../src/layers/codec.ts'
import { engines, levels, type Codec, type Engine } from '../src/layers/engine.ts'

type Measurement = { seconds: number; size: number; worst: number }

const say = (line: string) => process.stdout.write(`${line}\n`)
const attributes = process.argv.length > 2 ? process.argv.slice(2) : ['git', 'python3', 'nodejs']

async function closure(): Promise<StorePath[]> {
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const set = await ensureDemoPackageSet({
    directory: `${NIXERY_DATA}/demo`,
    cacheDirectory: NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: say,
  })
  const selected = attributes.flatMap((attribute) => ['-A', attribute])
  const built = await execa('nix-build', ['--no-out-link', set, ...selected])
  const { stdout } = await execa('nix-store', ['-qR', ...built.stdout.split('\n')])
  return [...new Set(stdout.split('\n'))].sort().map(parseStorePath)
}

const codecs = new Map<Engine, Codec>()
for (const engine of engines) {
  try {
    codecs.set(engine, await openCodec(engine))
  } catch (error) {
    say(`${engine} is not available: ${String(error)}`)
  }
}

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
const into = new Uint8Array(2 * blockSize)
const measured = new Map<Engine, Measurement>()
let [bytes, reference] = [0, 0]

for (const path of await closure()) {
  const blocks = [...tarBlocks(storePathEntries(path))]
  const length = blocks.reduce((sum, block) => sum + block.length, 0)
  const gzip = await execa('gzip', ['-6', '-n', '-c'], {
    input: Buffer.concat(blocks),
    encoding: 'buffer',
    maxBuffer: 2 ** 31,
  })
  bytes += length
  reference += gzip.stdout.length
  for (const [engine, codec] of codecs) {
    const all = measured.get(engine) ?? { seconds: 0, size: 0, worst: 0 }
    const started = cpuSeconds()
    const size = blocks.reduce((sum, block) => sum + codec.compress(block, into), 0)
    all.seconds += cpuSeconds() - started
    all.size += size
    // In small paths, the headers of the format distort the ratio.
    if (length > 100_000) all.worst = Math.max(all.worst, size / gzip.stdout.length)
    measured.set(engine, all)
  }
}

say(
  `${attributes.join(', ')}: ${(bytes / 1e6).toFixed(0)} MB of tar, ${(reference / 1e6).toFixed(0)} MB by gzip -6`,
)
say('| compressor | level | MB/s, one core | size, `gzip -6` = 1 | worst store path |')
say('| --- | --- | --- | --- | --- |')
for (const [engine, { seconds, size, worst }] of measured) {
  const speed = (bytes / seconds / 1e6).toFixed(0)
  const ratio = (size / reference).toFixed(3)
  say(`| \`${engine}\` | ${levels[engine]} | ${speed} | ${ratio} | ${worst.toFixed(3)} |`)
}
