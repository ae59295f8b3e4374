import { lstat, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { systemErrorCode } from '../errors.ts'

/** The commit that a checkout is at, and what `git ls-tree -r -t -z` says of it. */
export type Head = { readonly commit: string; readonly listing: Uint8Array }

/** Bytes: of half a million files. A larger checkout is told from others by its fingerprint. */
const mostListed = 64 * 1024 * 1024
const timeout = 60_000

/**
 * What git has recorded of a checkout whose top this folder is, a linked worktree's included; undefined where it is
 * none, or git cannot say. Git reads objects and nothing else: it runs no hook, no filter and no monitor whatever
 * the checkout's configuration says, does not reach for a remote for objects that are not there, and writes nothing.
 * @throws when git cannot be run for lack of something, and may be later
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

/** The folder's own repository and no other, whoever owns it; nothing of the user's or the system's configuration. */
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
  GIT_ALLOW_PROTOCOL: 'none', // before Git 2.44, what else keeps it from fetching objects
  GIT_TERMINAL_PROMPT: '0',
})

/**
 * Changes when a checkout moves to another commit; undefined where the folder is not the top of one.
 * @throws what the system says, if it is not that there is none
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

/** A linked worktree has a file there that says where its repository is. */
async function repositoryOf(path: string): Promise<string> {
  if ((await lstat(path)).isDirectory()) return path
  const text = await readFile(path, 'utf8')
  return resolve(path, '..', text.replace(/^gitdir: /, '').trim())
}
