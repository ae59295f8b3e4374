import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { makeCache, nix } from '../test/support/binary-cache.ts'
import { buildPackages, caches, openCacheImages, type CacheImages } from '../test/support/cache-images.ts'
import { ensurePrograms } from './install.ts'

// Compares the digests of all demo packages' images, built from the store and from a binary cache.

const usage = `usage: npm run caches -- [options]
  --compression NAME  compression of the cache: zstd, xz or none (zstd)
  --only NAME         a package to compare; repeatable (all)`

const { values: options } = parseArgs({
  options: {
    compression: { type: 'string', default: 'zstd' },
    only: { type: 'string', multiple: true },
    help: { type: 'boolean', default: false },
  },
})
const compression = (['zstd', 'xz', 'none'] as const).find((name) => name === options.compression)
const say = (line: string) => process.stdout.write(`${line}\n`)
/** Excluded, because the package of the server itself is built from this checkout, which takes minutes. */
const excluded = new Set(['nixery'])

const namesOf = async (set: string, system: string): Promise<string[]> => {
  const packages = `let all = import ${set} { system = "${system}"; };
    in builtins.filter (name: all.\${name}.type or "" == "derivation") (builtins.attrNames all)`
  const { stdout } = await nix('nix-instantiate', ['--eval', '--strict', '--json', '--expr', packages])
  return (JSON.parse(stdout) as string[]).filter(
    (name) => !excluded.has(name) && (!options.only || options.only.includes(name)),
  )
}

/** @returns the number of images that differ */
async function compare(images: CacheImages, set: string, system: string, prefix: string): Promise<number> {
  const names = await namesOf(set, system)
  say(`${system}: building ${names.length} packages, and filling a cache with them`)
  const folder = join(images.root, system)
  const basics = ['cacert', 'iana-etc']
  const paths = await buildPackages(set, [...new Set([...names, ...basics])], system)
  await makeCache(folder, paths, { compression: compression ?? 'zstd', secret: images.key.secret })
  const repositories = names.map((name) => prefix + name)
  const ofSet = { NIXERY_PKGS_PATH: set, NIXERY_CACHE_TIMEOUT: '60' }
  const fromStore = await images.build(repositories, ofSet)
  const fromCache = await images.build(repositories, { ...ofSet, ...caches(`${images.url}/${system}`) })
  const differing = repositories.filter((_, index) => fromStore.digests[index] !== fromCache.digests[index])
  for (const name of differing) say(`  ${name} differs`)
  say(
    `${system}: ${repositories.length - differing.length} of ${repositories.length} images have equal digests`,
  )
  return differing.length
}

async function main(): Promise<void> {
  if (options.help || !compression) {
    say(usage)
    if (!compression) process.exitCode = 2
    return
  }
  await ensurePrograms(['nix-store', 'libdeflate.so.0', 'nginx'], say)
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const set = await ensureDemoPackageSet({
    directory: join(NIXERY_DATA, 'demo'),
    cacheDirectory: NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: say,
  })
  const images = await openCacheImages()
  try {
    let differing = await compare(images, set, 'x86_64-linux', '')
    differing += await compare(images, set, 'aarch64-linux', 'arm64/')
    process.exitCode = differing > 0 ? 1 : 0
  } finally {
    await images.dispose()
  }
}

await main()
