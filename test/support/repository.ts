import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

/** A git repository for tests. */
export type Repository = {
  readonly folder: string
  /** `file://` address. */
  readonly url: string
  /** Runs git in the folder and returns its output. */
  git(...args: string[]): Promise<string>
  /** Commits the changes that `write` makes to the current branch, and returns the commit. */
  commit(write: (folder: string) => Promise<unknown>): Promise<string>
}

let count = 0

/** Makes a new repository in a folder, on the branch `trunk`. */
export async function openRepository(parent: string): Promise<Repository> {
  const folder = join(parent, `repository-${(count += 1)}`)
  await mkdir(folder)
  const git = async (...args: string[]) => {
    const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'core.hooksPath=/dev/null']
    const { stdout } = await execa('git', ['-C', folder, ...identity, ...args])
    return stdout
  }
  await git('init', '--quiet', '--initial-branch=trunk')
  return {
    folder,
    url: `file://${folder}`,
    git,
    async commit(write) {
      await write(folder)
      await git('add', '-A')
      await git('commit', '--quiet', '--allow-empty', '-m', 'commit')
      return git('rev-parse', 'HEAD')
    },
  }
}
