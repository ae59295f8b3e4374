import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NixeryError } from '../errors.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { checkOut } from './mirror.ts'
import { run, type RunOptions } from './process.ts'
import { unreachable } from './unreachable.ts'

/** Sources that can be brought into the store: a tarball, or a commit of a mirror (see `mirror.ts`). */
export type Sources =
  | { readonly tarball: string }
  | { readonly mirror: string; readonly commit: string; readonly scratch: string }

/** What a flake reference means now: its locked form, and the commit or hash that locks it. */
export type LockedFlake = { readonly url: string; readonly revision: string }

const expression = fileURLToPath(new URL('fetch.nix', import.meta.url))

/**
 * Fetches sources into the store, protects them by a garbage collector root, and gives their store path. A tarball
 * that is in Nix's cache is asked for anew, which costs one request if it has not changed.
 * @param rootOf where the root of a store path is put
 * @throws SOURCE_UNREACHABLE with Nix's reason, and `{ missing: true }` as its detail if the server answered and has
 *   no such thing; NIX_UNAVAILABLE, CANCELLED
 */
export async function fetchSources(
  sources: Sources,
  rootOf: (path: StorePath) => string,
  options: RunOptions,
): Promise<StorePath> {
  const path = 'tarball' in sources ? await fetchTarball(sources, options) : await addCommit(sources, options)
  const root = rootOf(path)
  await mkdir(dirname(root), { recursive: true })
  const rooted = await run('nix-store', ['--realise', path, '--add-root', root, '--indirect'], options)
  if (!rooted.ok) throw unreachable(rooted)
  return path
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

/**
 * Locks a flake reference.
 * @throws SOURCE_UNREACHABLE as `fetchSources` does, CONFIG_INVALID when this Nix knows no flakes, CANCELLED
 */
export async function lockFlake(reference: string, options: RunOptions): Promise<LockedFlake> {
  const flags = [
    '--extra-experimental-features',
    'nix-command flakes',
    'flake',
    'metadata',
    '--json',
    '--refresh',
  ]
  const result = await run('nix', [...flags, '--', reference], options)
  if (!result.ok) {
    if (
      result.lines.some((line) =>
        /not a recognised|unknown experimental feature|unrecognised flag/.test(line),
      )
    ) {
      throw new NixeryError('CONFIG_INVALID', 'this Nix knows no flakes', {
        hint: 'NIXERY_FLAKE needs Nix 2.4 or later',
      })
    }
    throw unreachable(result)
  }
  const { url, locked, revision } = JSON.parse(result.stdout) as {
    url: string
    revision?: string
    locked: { narHash: string }
  }
  return { url: withHash(url, locked.narHash), revision: revision ?? locked.narHash }
}

/** A folder is locked only by its hash. */
const withHash = (url: string, narHash: string): string =>
  url.includes('narHash=') || !url.startsWith('path:')
    ? url
    : `${url}${url.includes('?') ? '&' : '?'}narHash=${encodeURIComponent(narHash)}`
