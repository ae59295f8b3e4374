import { hash } from 'node:crypto'
import { mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { removeOld } from '../src/fs/remove-old.ts'
import { serveByNginx } from '../test/support/binary-cache.ts'
import type { LinkJob } from './child/link.ts'
import type { Context } from './context.ts'
import { withChild } from './floors.ts'
import { childrenOf, cpuSeconds } from './processes.ts'

export type Compression = 'xz' | 'zstd'

/** A binary cache in a folder, and the key that signs its paths. */
export type BinaryCache = { readonly folder: string; readonly key: string }

/** Options with which Nix's programs run as root, without substituters. */
export const nixOptions = [
  '--option',
  'build-users-group',
  '',
  '--extra-experimental-features',
  'nix-command',
]

/** Makes a binary cache of the closures of store paths. @param store the store with the paths, by default Nix's own */
export async function makeBinaryCache(
  { signal }: Pick<Context, 'signal'>,
  folder: string,
  paths: readonly string[],
  compression: Compression,
  store?: string,
): Promise<BinaryCache> {
  const secret = join(folder, 'secret')
  const options = { cancelSignal: signal }
  await mkdir(folder, { recursive: true })
  await execa(
    'nix-store',
    ['--generate-binary-cache-key', 'bench-1', secret, join(folder, 'public')],
    options,
  )
  const to = ['--to', `file://${join(folder, 'cache')}?compression=${compression}&secret-key=${secret}`]
  const from = store === undefined ? [] : ['--from', store]
  await execa('nix', [...nixOptions, 'copy', ...from, ...to, ...paths], options)
  return openBinaryCache(folder)
}

const openBinaryCache = async (folder: string): Promise<BinaryCache> => ({
  folder: join(folder, 'cache'),
  key: (await readFile(join(folder, 'public'), 'utf8')).trim(),
})

/**
 * The same, but cached for equal paths: with xz, half a gigabyte takes minutes.
 * @param name the name of the cache; a cache of this name with other paths is removed
 */
export async function keepBinaryCache(
  { cacheFolder, signal, say }: Pick<Context, 'cacheFolder' | 'signal' | 'say'>,
  name: string,
  paths: readonly string[],
  compression: Compression,
): Promise<BinaryCache> {
  const kind = `${name}-${compression}-`
  const kept = `${kind}${hash('sha256', paths.toSorted().join('\n')).slice(0, 16)}`
  const folder = join(cacheFolder, kept)
  try {
    return await openBinaryCache(folder)
  } catch {
    // The cache does not exist yet.
  }
  say(`making a cache with ${compression}`)
  await mkdir(cacheFolder, { recursive: true })
  const only = (entry: string) => entry.startsWith(kind)
  await removeOld(cacheFolder, { olderThan: 0, only })
  await makeBinaryCache({ signal }, `${folder}.new`, paths, compression)
  await rename(`${folder}.new`, folder)
  return openBinaryCache(folder)
}

/** The files with NARs in a cache. */
export const narFiles = async ({ folder }: BinaryCache): Promise<string[]> =>
  (await readdir(join(folder, 'nar'))).map((name) => join(folder, 'nar', name))

/**
 * Serves a cache by nginx behind a line; see `child/link.ts`.
 * @param use receives the URL, and a function that returns the CPU time of nginx and the line so far in ms
 */
export async function throughLink<T>(
  context: Pick<Context, 'folder' | 'signal'>,
  { folder }: BinaryCache,
  line: Omit<LinkJob, 'port'>,
  use: (url: string, cpu: () => Promise<number>) => Promise<T>,
): Promise<T> {
  const files = join(await context.folder('nginx'), 'files')
  const nginx = await serveByNginx(files, folder)
  try {
    const master = Number(await readFile(join(files, 'pid'), 'utf8'))
    const { running } = await childrenOf(master)
    const job: LinkJob = { port: Number(new URL(nginx.url).port), ...line }
    return await withChild('link', [JSON.stringify(job)], context.signal, (port, pid) => {
      const cpu = async () => {
        const seconds = await Promise.all([pid, master, ...running].map(cpuSeconds))
        return 1000 * seconds.reduce((sum, one) => sum + one, 0)
      }
      return use(`http://127.0.0.1:${port}`, cpu)
    })
  } finally {
    await nginx.stop()
  }
}

/** The time in which Nix substitutes paths from a cache into an empty store, in ms. */
export async function substitute(
  context: Pick<Context, 'folder' | 'signal'>,
  paths: readonly string[],
  url: string,
  key: string,
): Promise<number> {
  const store = await context.folder('store')
  const settings = ['--option', 'substituters', url, '--option', 'trusted-public-keys', key]
  // A new cache folder, because Nix would have cached narinfos of an earlier run.
  const env = { XDG_CACHE_HOME: await context.folder('nix') }
  const started = performance.now()
  const { failed, stderr } = await execa(
    'nix-store',
    ['--realise', ...paths, '--store', store, ...nixOptions, ...settings],
    { env, reject: false, cancelSignal: context.signal },
  )
  if (failed) throw new Error(`Nix cannot substitute: ${stderr.slice(-1000)}`)
  const ms = performance.now() - started
  await removeStore(store)
  return ms
}

/** Removes a store after making its files writable. */
export const removeStore = (store: string) => execa('sh', ['-c', 'chmod -R u+w "$0" && rm -rf "$0"', store])
