import { fileURLToPath } from 'node:url'
import { NixeryError } from '../errors.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { messageOf } from './message.ts'
import { run, type RunOptions } from './process.ts'

/** Sources that Nix can fetch. A git commit without the ref that leads to it is looked for in all refs. */
export type Sources =
  | { readonly tarball: string }
  | { readonly git: { readonly url: string; readonly rev: string; readonly ref?: string } }

/** What a flake reference means now: its locked form, and the commit or hash that locks it. */
export type LockedFlake = { readonly url: string; readonly revision: string }

const expression = fileURLToPath(new URL('fetch.nix', import.meta.url))

/**
 * Fetches sources into the store, protects them by a garbage collector root, and gives their store path. A tarball
 * that is in Nix's cache is asked for anew, which costs one request if it has not changed.
 * @param root the root's path
 * @throws SOURCE_UNREACHABLE with Nix's reason, and `{ missing: true }` as its detail where somebody answered who has
 *   no such thing; NIX_UNAVAILABLE, CANCELLED
 */
export async function fetchSources(sources: Sources, root: string, options: RunOptions): Promise<StorePath> {
  const flags = ['--eval', '--strict', '--json', '--read-write-mode', '--option', 'tarball-ttl', '0']
  const fetched = await run(
    'nix-instantiate',
    [...flags, expression, '--argstr', 'request', JSON.stringify(sources)],
    options,
  )
  if (!fetched.ok) throw unreachable(fetched.timedOut, fetched.lines)
  const path = parseStorePath(JSON.parse(fetched.stdout) as string)
  const rooted = await run('nix-store', ['--realise', path, '--add-root', root, '--indirect'], options)
  if (!rooted.ok) throw unreachable(rooted.timedOut, rooted.lines)
  return path
}

/**
 * Commits of a git repository's refs, by git's own configuration and credentials, which it cannot ask for.
 * @param patterns such as `HEAD` and `refs/heads/main`; none may begin with a dash
 * @returns commit by ref; empty if none matches
 * @throws SOURCE_UNREACHABLE with git's reason, CANCELLED
 */
export async function remoteRefs(
  url: string,
  patterns: readonly string[],
  options: RunOptions,
): Promise<Map<string, string>> {
  const listed = await run('git', ['ls-remote', '--', url, ...patterns], options)
  if (!listed.ok) throw unreachable(listed.timedOut, listed.lines)
  const lines = listed.stdout.split('\n').map((line) => /^([0-9a-f]{40})\t(\S+)$/.exec(line))
  return new Map(lines.flatMap((match) => (match ? [[match[2] ?? '', match[1] ?? '']] : [])))
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
    throw unreachable(result.timedOut, result.lines)
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

// What curl, git and Nix say where somebody answered who has no such thing; GitHub says 422 of a commit.
const notThere =
  /HTTP error (404|422)|couldn't find remote ref|unknown revision|Cannot find Git revision|not our ref/i

const unreachable = (timedOut: boolean, lines: readonly string[]) =>
  new NixeryError(
    'SOURCE_UNREACHABLE',
    `the package set cannot be fetched${timedOut ? ' in time' : ''}:\n${messageOf(lines)}`,
    {
      hint: 'try again later; the operator finds the cause in the log',
      ...(lines.some((line) => notThere.test(line)) && { detail: { missing: true } }),
    },
  )
