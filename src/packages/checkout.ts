import { lstat, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { systemErrorCode } from '../errors.ts'

/** The commit that is checked out, and the output of `git ls-tree -r -t -z` for it. */
export type Head = { readonly commit: string; readonly listing: Uint8Array }

/** Bytes, enough for half a million files. A larger checkout is identified by its fingerprint. */
const mostListed = 64 * 1024 * 1024
const timeout = 60_000

/**
 * Reads the HEAD of a checkout, which may be a linked worktree. Returns undefined if the folder is not the top of a
 * checkout, or git cannot read it. Git only reads objects: whatever the checkout's configuration says, it runs no hooks,
 * filters or monitors, fetches no missing objects, and writes nothing.
 * @throws if git cannot be run because a resource is exhausted, which may pass
 */
export async function headOf(folder: string): Promise<Head | undefined> {
  const git = async (...args: string[]): Promise<Uint8Array | undefined> => {
    const result = await execa('git', [...settings, ...args], {
      cwd: folder,
      env: environment(folder),
      extendEnv: false,
      stdin: 'ignore',
      encoding: 'buffer',
      stripFinalNewline: false,
      maxBuffer: mostListed,
      timeout,
      reject: false,
    })
    if (!result.failed) return result.stdout
    const isAnswer = result.exitCode !== undefined || result.isMaxBuffer || result.code === 'ENOENT'
    if (isAnswer) return undefined
    throw Object.assign(new Error(`git cannot be run: ${result.shortMessage}`), { code: result.code })
  }
  const said = await git('rev-parse', '--verify', '--quiet', 'HEAD^{commit}')
  const commit = said && Buffer.from(said).toString().trim()
  if (!commit) return undefined
  const listing = await git('ls-tree', '-r', '-t', '-z', '--full-tree', commit)
  return listing && { commit, listing }
}

const settings = ['--no-pager', '-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null']

/** Uses only the folder's own repository, regardless of its owner, and ignores the user's and the system's configuration. */
const environment = (folder: string) => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  HOME: '/nonexistent',
  GIT_DIR: join(folder, '.git'),
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_ALLOW_PROTOCOL: 'none', // prevents fetching objects with Git before 2.44
  GIT_TERMINAL_PROMPT: '0',
})

/**
 * A text that changes when a checkout moves to another commit; undefined if the folder is not the top of a checkout.
 * @throws the failed system call, unless there is no checkout
 */
export async function headStamp(folder: string): Promise<string | undefined> {
  try {
    const repository = await repositoryOf(join(folder, '.git'))
    const facts = async (name: string) => {
      const found = await stat(join(repository, name), { bigint: true }).catch(() => undefined)
      return found ? `${found.ino} ${found.size} ${found.ctimeNs}` : ''
    }
    return `${await facts('HEAD')} ${await facts('logs/HEAD')}`
  } catch (error) {
    if (missing.has(systemErrorCode(error))) return undefined
    throw error
  }
}

const missing: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EACCES'])

/** In a linked worktree, `.git` is a file that names the location of the repository. */
async function repositoryOf(path: string): Promise<string> {
  if ((await lstat(path)).isDirectory()) return path
  const text = await readFile(path, 'utf8')
  return resolve(path, '..', text.replace(/^gitdir: /, '').trim())
}
