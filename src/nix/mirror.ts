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
  /** Patterns of refs to copy, with at most one `*` each, such as `refs/heads/*`. HEAD is always copied. */
  readonly refs: readonly string[]
  /** Copies commits without their files (`--filter=tree:0`). A server without support for it sends everything. */
  readonly commitsOnly: boolean
  /** The maximum size of the repository in bytes. */
  readonly limit: number
}

/** Prefix of the repository's refs in the mirror, so that they cannot collide with the copy of HEAD. */
const copies = 'refs/source/'
const head = 'refs/head'

/** `refs/heads/main` → `refs/source/heads/main` */
const copyOf = (ref: string): string => ref.replace(/^refs\//, copies)
const originalOf = (copy: string): string => (copy === head ? 'HEAD' : copy.replace(copies, 'refs/'))

/**
 * Creates the mirror if it does not exist, and updates it. Refs that the repository no longer has are removed. A damaged
 * mirror is recreated.
 * @throws SOURCE_UNREACHABLE with git's reason, CANCELLED
 */
export async function updateMirror(mirror: Mirror, options: RunOptions): Promise<void> {
  // Other processes may be using younger files. If the folder cannot be read, git reports it.
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
 * Combines the packs of previous updates if there are many. Call it when no client is waiting. A failure only costs disk
 * space.
 * @throws CANCELLED
 */
export async function tidyMirror(folder: string, options: RunOptions): Promise<void> {
  await localGit([...at(folder), 'gc', '--auto', '--quiet'], options)
}

async function fetchOnce(mirror: Mirror, options: RunOptions) {
  await mkdir(mirror.folder, { recursive: true })
  // Without templates, which may install hooks of this machine.
  const made = await localGit(['init', '--quiet', '--bare', '--template=', '--', mirror.folder], options)
  if (!made.ok) return made
  const first = await fetchRefs(mirror, [`+HEAD:${head}`], options)
  if (first.ok || !/couldn't find remote ref HEAD/.test(first.lines.join('\n'))) return first
  // HEAD names a branch that does not exist; other refs may exist.
  await localGit([...at(mirror.folder), 'update-ref', '-d', head], options)
  return fetchRefs(mirror, [], options)
}

async function fetchRefs(mirror: Mirror, more: readonly string[], options: RunOptions) {
  const refspecs = [...more, ...mirror.refs.map((ref) => `+${ref}:${copyOf(ref)}`)]
  const size = watchSize(mirror.folder, mirror.limit)
  const signal = options.signal ? AbortSignal.any([options.signal, size.exceeded]) : size.exceeded
  // The URL may contain a password, so it is not written into the mirror.
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
    throw new NixeryError('SOURCE_UNREACHABLE', 'the repository is larger than NIXERY_MIRROR_LIMIT', {
      cause: error,
    })
  } finally {
    size.stop()
  }
}

/**
 * Whether the server supports git's smart protocol. With a server of plain files, a filtered fetch never ends: git starts
 * another process for each missing object, which does the same.
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
 * The refs that reach a commit, as of the last update. Fetches nothing.
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
 * The time of a commit in seconds since 1970.
 * @throws SOURCE_UNREACHABLE if the mirror does not have it, CANCELLED
 */
export async function commitTime(folder: string, commit: string, options: RunOptions): Promise<number> {
  const log = await localGit([...at(folder), 'log', '--max-count=1', '--format=%ct', commit, '--'], options)
  if (!log.ok) throw unreachable(log)
  return Number(log.stdout)
}

/** A commit, and when it was made: seconds since 1970. */
export type LoggedCommit = { readonly commit: string; readonly at: number }

/** Commits beyond this number are not read. */
const mostLogged = 500_000

/**
 * The commits of a mirror from one back along first parents, the newest first.
 * @param range.back where to end: a commit, which is the last one if it is on the way; or seconds since 1970
 * @throws SOURCE_UNREACHABLE if the mirror does not have them, CANCELLED
 */
export async function commitLog(
  folder: string,
  { newest, back }: { readonly newest: string; readonly back: string | number },
  options: RunOptions,
): Promise<LoggedCommit[]> {
  const end = typeof back === 'number' ? [`--since=${back}`] : [`^${back}`]
  const log = await localGit(
    [
      ...at(folder),
      'log',
      '--first-parent',
      `--max-count=${mostLogged}`,
      '--format=%H %ct',
      newest,
      ...end,
      '--',
    ],
    options,
  )
  if (!log.ok) throw unreachable(log)
  const commits = [...log.stdout.matchAll(/^([0-9a-f]{40}) (\d+)$/gm)].map(([, commit = '', seconds]) => ({
    commit,
    at: Number(seconds),
  }))
  if (typeof back === 'number') return commits
  return [...commits, { commit: back, at: await commitTime(folder, back, options) }]
}

/**
 * Writes the files of a commit into a folder. Submodules become empty folders, as in Nix.
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

/** Whether git reports damage of the mirror itself; messages of the remote start with `remote:`. */
const isDamaged = ({ lines, timedOut }: Failed): boolean =>
  !timedOut &&
  lines.some((line) =>
    /^(fatal|error): (bad object|.*(object file .* is empty|is corrupt|does not match index|loose object)|not a git repository|bad config|.*did not send all necessary objects|packfile .* cannot be)/.test(
      line,
    ),
  )

/** Whether a file is a lock or an unfinished pack that a killed git process left behind. */
const isUnfinished = (name: string): boolean => /^(.+\.lock|tmp_.+|\.tmp-.+)$/.test(name)
