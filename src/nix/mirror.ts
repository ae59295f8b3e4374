import { mkdir, rm } from 'node:fs/promises'
import { NixeryError } from '../errors.ts'
import { removeOld } from '../fs/remove-old.ts'
import { git, localGit, parseRefs } from './git.ts'
import type { Failed, RunOptions } from './process.ts'
import { unreachable } from './unreachable.ts'
import { watchSize } from './watch-size.ts'

/** A bare copy of the refs of a git repository. */
export type Mirror = {
  readonly folder: string
  readonly url: string
  /** Which refs are copied, with at most one `*` in each, such as `refs/heads/*`. HEAD always is. */
  readonly refs: readonly string[]
  /** Copies commits without their files (`--filter=tree:0`). A server that cannot do that sends everything. */
  readonly commitsOnly: boolean
  /** Bytes; a repository that is larger is given up. */
  readonly limit: number
}

/** Refs of the repository lie here in the mirror, so that none of them can collide with HEAD's copy. */
const copies = 'refs/source/'
const head = 'refs/head'

/** `refs/heads/main` → `refs/source/heads/main` */
const copyOf = (ref: string): string => ref.replace(/^refs\//, copies)
const originalOf = (copy: string): string => (copy === head ? 'HEAD' : copy.replace(copies, 'refs/'))

/**
 * Creates the mirror if it does not exist, and brings it up to date. Refs that are gone from the repository go from
 * the mirror as well. A mirror that is damaged is created again.
 * @throws SOURCE_UNREACHABLE with git's reason, CANCELLED
 */
export async function updateMirror(mirror: Mirror, options: RunOptions): Promise<void> {
  // Other processes may be at work on younger ones. Of a folder that cannot be read, git says so.
  const unfinished = { olderThan: options.timeout, only: isUnfinished, recursive: true }
  await removeOld(mirror.folder, unfinished).catch(() => {})
  let result = await fetchOnce(mirror, options)
  if (!result.ok && isDamaged(result)) {
    await rm(mirror.folder, { recursive: true, force: true })
    result = await fetchOnce(mirror, options)
  }
  if (!result.ok) throw unreachable(result)
}

/**
 * Joins the packs of many updates, if there are many. To be done while nobody waits; a failure only costs disk space.
 * @throws CANCELLED
 */
export async function tidyMirror(folder: string, options: RunOptions): Promise<void> {
  await localGit([...at(folder), 'gc', '--auto', '--quiet'], options)
}

async function fetchOnce(mirror: Mirror, options: RunOptions) {
  await mkdir(mirror.folder, { recursive: true })
  // Without templates, which may hold hooks of the machine's.
  const made = await localGit(['init', '--quiet', '--bare', '--template=', '--', mirror.folder], options)
  if (!made.ok) return made
  const first = await fetchRefs(mirror, [`+HEAD:${head}`], options)
  if (first.ok || !/couldn't find remote ref HEAD/.test(first.lines.join('\n'))) return first
  // HEAD names a branch that does not exist; the others may.
  await localGit([...at(mirror.folder), 'update-ref', '-d', head], options)
  return fetchRefs(mirror, [], options)
}

async function fetchRefs(mirror: Mirror, more: readonly string[], options: RunOptions) {
  const refspecs = [...more, ...mirror.refs.map((ref) => `+${ref}:${copyOf(ref)}`)]
  const size = watchSize(mirror.folder, mirror.limit)
  const signal = options.signal ? AbortSignal.any([options.signal, size.exceeded]) : size.exceeded
  // The address may hold a password, so it is not written into the mirror.
  const settings = ['-c', `remote.origin.url=${mirror.url}`, '-c', 'fetch.writeCommitGraph=true']
  const flags = ['--quiet', '--force', '--prune', '--no-tags', '--no-recurse-submodules', '--update-shallow']
  if (mirror.commitsOnly && (await isSmart(mirror, options))) flags.push('--filter=tree:0')
  flags.push('--no-auto-maintenance', '--no-write-fetch-head')
  try {
    return await git(
      [...settings, ...at(mirror.folder), 'fetch', ...flags, '--end-of-options', 'origin', ...refspecs],
      { ...options, signal },
    )
  } catch (error) {
    if (!size.exceeded.aborted || options.signal?.aborted) throw error
    await rm(mirror.folder, { recursive: true, force: true })
    throw new NixeryError('SOURCE_UNREACHABLE', 'the repository is larger than NIXERY_MIRROR_LIMIT allows', {
      cause: error,
    })
  } finally {
    size.stop()
  }
}

/**
 * Whether the server speaks git's own protocol. From one that serves files over HTTP, a filtered fetch never ends: git
 * fetches each object that it lacks by a further process, which does the same.
 */
async function isSmart({ url }: Mirror, options: RunOptions): Promise<boolean> {
  if (!/^https?:/i.test(url)) return true
  const environment = { ...options.environment, GIT_TRACE_PACKET: '1' }
  const listed: string[] = []
  const onLine = (line: string) => void (listed.length < 1 && / packet: /.test(line) && listed.push(line))
  await git(['ls-remote', '--heads', '--', url], { ...options, environment, onLine })
  return listed.length > 0
}

/**
 * Commits by ref, `HEAD` among them, as of the last update.
 * @throws SOURCE_UNREACHABLE if the mirror cannot be read, CANCELLED
 */
export async function mirrorRefs(folder: string, options: RunOptions): Promise<Map<string, string>> {
  const listed = await localGit([...at(folder), 'show-ref', '--dereference'], options)
  // Without any ref it prints nothing and fails.
  if (!listed.ok && listed.lines.length > 0) throw unreachable(listed)
  const refs = listed.ok ? parseRefs(listed.stdout) : new Map<string, string>()
  return new Map([...refs].map(([copy, commit]) => [originalOf(copy), commit]))
}

/**
 * The refs from which a commit is reached, as of the last update. Nothing is fetched.
 * @param commit 40 hexadecimal digits
 * @throws SOURCE_UNREACHABLE if the mirror cannot be read, or not in time; CANCELLED
 */
export async function refsReaching(folder: string, commit: string, options: RunOptions): Promise<string[]> {
  const command = ['for-each-ref', '--format=%(refname)', `--contains=${commit}`, copies]
  const listed = await localGit([...at(folder), ...command], options)
  if (listed.ok) return listed.stdout.split('\n').filter(Boolean).map(originalOf)
  if (!listed.timedOut && /error: (no such commit|malformed object name)/.test(listed.lines.join('\n')))
    return []
  throw unreachable(listed)
}

/**
 * When a commit was made: seconds since 1970.
 * @throws SOURCE_UNREACHABLE if the mirror does not have it, CANCELLED
 */
export async function commitTime(folder: string, commit: string, options: RunOptions): Promise<number> {
  const told = await localGit([...at(folder), 'log', '--max-count=1', '--format=%ct', commit, '--'], options)
  if (!told.ok) throw unreachable(told)
  return Number(told.stdout)
}

/**
 * Writes the files of a commit into a folder of its own. Submodules are empty folders, as Nix has them.
 * @throws SOURCE_UNREACHABLE with git's reason, CANCELLED
 */
export async function checkOut(
  { mirror, commit, into }: { mirror: string; commit: string; into: string },
  options: RunOptions,
): Promise<void> {
  await mkdir(into, { recursive: true })
  const indexed = {
    ...options,
    environment: { ...options.environment, GIT_INDEX_FILE: `${into}.index` },
  }
  const where = [...at(mirror), `--work-tree=${into}`]
  for (const command of [
    ['read-tree', `${commit}^{tree}`],
    ['checkout-index', '--all', '--force', '--quiet'],
  ]) {
    const done = await localGit([...where, ...command], indexed)
    if (!done.ok) throw unreachable(done)
  }
}

const at = (folder: string): string[] => [`--git-dir=${folder}`]

/** Whether git complains of the mirror itself: what the remote says begins with `remote:`. */
const isDamaged = ({ lines, timedOut }: Failed): boolean =>
  !timedOut &&
  lines.some((line) =>
    /^(fatal|error): (bad object|.*(object file .* is empty|is corrupt|does not match index|loose object)|not a git repository|bad config|.*did not send all necessary objects|packfile .* cannot be)/.test(
      line,
    ),
  )

/** Whether a file is a lock or an unfinished pack of git, which a killed process leaves. */
const isUnfinished = (name: string): boolean => /^(.+\.lock|tmp_.+|\.tmp-.+)$/.test(name)
