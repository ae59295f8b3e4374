import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { checkOut } from './mirror.ts'
import { run, type RunOptions } from './process.ts'
import { unreachable } from './unreachable.ts'

/** Sources to fetch into the store: a tarball, or a commit of a mirror (see `mirror.ts`). */
export type Sources =
  | { readonly tarball: string }
  | { readonly mirror: string; readonly commit: string; readonly scratch: string }

const expression = fileURLToPath(new URL('fetch.nix', import.meta.url))

/**
 * Fetches sources into the store, protects them with a garbage collector root, and returns their store path. A tarball
 * that is in Nix's cache is requested again, which costs one request if it has not changed.
 * @param rootOf where the root of a store path is put
 * @throws SOURCE_UNREACHABLE with Nix's reason, as `SourceLacks` if the server responded but does not
 *   have it; NIX_UNAVAILABLE, CANCELLED
 */
export async function fetchSources(
  sources: Sources,
  rootOf: (path: StorePath) => string,
  options: RunOptions,
): Promise<StorePath> {
  const path = 'tarball' in sources ? await fetchTarball(sources, options) : await addCommit(sources, options)
  await addRoot(path, rootOf(path), options)
  return path
}

/**
 * Protects a store path from the garbage collector.
 * @throws SOURCE_UNREACHABLE if it no longer exists, CANCELLED
 */
export async function addRoot(path: StorePath, root: string, options: RunOptions): Promise<void> {
  await mkdir(dirname(root), { recursive: true })
  const rooted = await run('nix-store', ['--realise', path, '--add-root', root, '--indirect'], options)
  if (!rooted.ok) throw unreachable(rooted)
}

async function fetchTarball(request: { tarball: string }, options: RunOptions): Promise<StorePath> {
  const flags = ['--eval', '--strict', '--json', '--read-write-mode', '--option', 'tarball-ttl', '0']
  const fetched = await run(
    'nix-instantiate',
    [...flags, expression, '--argstr', 'request', JSON.stringify(request)],
    options,
  )
  if (!fetched.ok) throw unreachable(fetched)
  return parseStorePath(JSON.parse(fetched.stdout) as string)
}

/** Nix's own `fetchGit` would first copy the whole mirror into its cache; the store path is the same. */
async function addCommit(
  { mirror, commit, scratch }: { mirror: string; commit: string; scratch: string },
  options: RunOptions,
): Promise<StorePath> {
  await mkdir(scratch, { recursive: true })
  const folder = await mkdtemp(join(scratch, 'checkout-'))
  try {
    const into = join(folder, 'source')
    await checkOut({ mirror, commit, into }, options)
    const added = await run('nix-store', ['--add', into], options)
    if (!added.ok) throw unreachable(added)
    return parseStorePath(added.stdout.trim())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
