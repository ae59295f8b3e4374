import assert from 'node:assert/strict'
import {
  access,
  appendFile,
  chmod,
  chown,
  mkdir,
  mkdtemp,
  realpath,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { execa } from 'execa'
import { pathSource } from './path.ts'

let top: string
let repository: string
let head: string
const at = (name: string) => join(repository, name)
const git = async (...args: string[]) => {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-c', 'protocol.file.allow=always']
  return (await execa('git', [...identity, ...args], { cwd: repository })).stdout
}
const revisionOf = async (folder: string) =>
  (await pathSource(folder, { fresh: 0, stale: 0, tags: 'latest' }).pin('latest')).revision

beforeEach(async () => {
  top = await realpath(await mkdtemp(join(tmpdir(), 'nixery-checkout-')))
  repository = join(top, 'set')
  await mkdir(join(repository, 'pkgs'), { recursive: true })
  await writeFile(at('default.nix'), '{ system }: { }')
  await writeFile(at('pkgs/run.sh'), 'echo')
  await chmod(at('pkgs/run.sh'), 0o755)
  await writeFile(Buffer.from(`${repository}/pkgs/n\xe9.nix`, 'latin1'), 'bytes')
  await symlink('default.nix', at('link'))
  await writeFile(at('.gitignore'), 'result\n')
  await git('init', '-q')
  await git('add', '.')
  await git('commit', '-qm', 'one')
  head = await git('rev-parse', 'HEAD')
})
afterEach(() => rm(top, { recursive: true, force: true }))

describe('a clean checkout', () => {
  it('is identified by its commit', async () => {
    assert.equal(await revisionOf(repository), `git-${head}`)
    const now = new Date()
    await utimes(at('default.nix'), now, now)
    assert.equal(await revisionOf(repository), `git-${head}`, 'whatever its file times')
  })

  it('is identified by its commit again after a change is reverted, but is a new state', async () => {
    const source = pathSource(repository, { fresh: 0, stale: 0, tags: 'latest' })
    const before = await source.pin('latest')
    await writeFile(at('default.nix'), '{ system }: [ ]')
    assert.match((await source.pin('latest')).revision, /^path-/)
    await git('checkout', '-q', '.')
    const after = await source.pin('latest')
    assert.equal(after.revision, before.revision)
    assert.notEqual(after.state, before.state)
    assert.equal(await before.unchanged(), false)
    assert.equal(await after.unchanged(), true)
  })

  it('follows its branch, with and without changed files', async () => {
    const source = pathSource(repository, { fresh: 0, stale: 0, tags: 'latest' })
    await source.pin('latest')
    await git('commit', '-q', '--allow-empty', '-m', 'two')
    assert.equal((await source.pin('latest')).revision, `git-${await git('rev-parse', 'HEAD')}`)
    await writeFile(at('new.nix'), '')
    await git('add', 'new.nix')
    assert.match((await source.pin('latest')).revision, /^path-/, 'staged is not committed')
    await git('commit', '-qm', 'three')
    assert.equal((await source.pin('latest')).revision, `git-${await git('rev-parse', 'HEAD')}`)
  })

  it('may be a linked worktree, and belong to another user', async () => {
    const linked = join(top, 'linked')
    await git('worktree', 'add', '-q', linked, '-b', 'other')
    assert.equal(await revisionOf(linked), `git-${head}`)
    if (process.getuid?.() !== 0) return
    for (const path of [repository, at('.git'), at('.git/config')]) await chown(path, 65_534, 65_534)
    assert.equal(await revisionOf(repository), `git-${head}`)
  })

  it('may use sha256 objects', async () => {
    await rm(at('.git'), { recursive: true })
    await git('init', '-q', '--object-format=sha256')
    await git('add', '.')
    await git('commit', '-qm', 'one')
    assert.match(await revisionOf(repository), /^git-[0-9a-f]{64}$/)
  })
})

describe('a checkout that differs from its commit', () => {
  const sameLength = '{ system }: [ ]'
  const changes: Record<string, () => Promise<unknown>> = {
    'with other content': () => appendFile(at('default.nix'), ' '),
    'with other content of the same length and time': async () => {
      const time = new Date(0)
      await utimes(at('default.nix'), time, time)
      await git('update-index', '--refresh')
      await writeFile(at('default.nix'), sameLength)
      await utimes(at('default.nix'), time, time)
    },
    'with a changed file that is marked assume-unchanged': async () => {
      await git('update-index', '--assume-unchanged', 'default.nix')
      await writeFile(at('default.nix'), sameLength)
    },
    'with a changed file that is marked skip-worktree': async () => {
      await git('update-index', '--skip-worktree', 'default.nix')
      await writeFile(at('default.nix'), sameLength)
    },
    'with changed modes and core.fileMode=false': async () => {
      await git('config', 'core.fileMode', 'false')
      await chmod(at('pkgs/run.sh'), 0o644)
    },
    'with an untracked file': () => writeFile(at('new.nix'), ''),
    'with an ignored file': () => writeFile(at('result'), ''),
    'with a file that is excluded in .git/info/exclude': async () => {
      await appendFile(at('.git/info/exclude'), 'secret.nix\n')
      await writeFile(at('secret.nix'), '')
    },
    'with an empty folder': () => mkdir(at('pkgs/empty')),
    'with a missing file': () => rm(at('pkgs/run.sh')),
    'with a link to elsewhere': async () => {
      await rm(at('link'))
      await symlink('pkgs/run.sh', at('link'))
    },
    'with contents from a filter': async () => {
      await writeFile(at('.gitattributes'), '*.nix filter=swap\n')
      await git('add', '.')
      await git('commit', '-qm', 'two')
      await git('config', 'filter.swap.smudge', "sed 's/system/machine/'")
      await git('config', 'filter.swap.clean', "sed 's/machine/system/'")
      await rm(at('default.nix'))
      await git('checkout', '-q', '.')
      assert.equal(await git('status', '--porcelain'), '')
    },
    'with a submodule': async () => {
      await execa('git', ['clone', '-q', repository, join(top, 'other')])
      await git('submodule', '--quiet', 'add', join(top, 'other'), 'sub')
      await git('commit', '-qm', 'two')
      assert.equal(await git('status', '--porcelain'), '')
    },
    'without a commit': async () => {
      await rm(at('.git'), { recursive: true })
      await git('init', '-q')
    },
    'with an invalid .git': async () => {
      await rm(at('.git'), { recursive: true })
      await writeFile(at('.git'), 'gitdir: /nonexistent\n')
    },
  }
  for (const [what, change] of Object.entries(changes)) {
    it(`${what} is identified by its fingerprint`, async () => {
      await change()
      assert.match(await revisionOf(repository), /^path-[0-9a-f]{64}$/)
    })
  }

  it('but a folder in one is identified by its fingerprint', async () => {
    await writeFile(at('pkgs/default.nix'), '')
    await git('add', '.')
    await git('commit', '-qm', 'two')
    assert.match(await revisionOf(at('pkgs')), /^path-/)
  })
})

it('git runs no programs that a checkout configures', async () => {
  const ran = join(top, 'ran')
  const program = join(top, 'program')
  await writeFile(program, `#!/bin/sh\ntouch ${ran}\n`)
  await chmod(program, 0o755)
  await writeFile(at('.gitattributes'), '*.nix filter=evil diff=evil\n')
  await git('add', '.')
  await git('commit', '-qm', 'two')
  const settings = {
    'core.fsmonitor': program,
    'core.pager': program,
    'pager.ls-tree': program,
    'core.sshCommand': program,
    'core.hooksPath': join(top, 'hooks'),
    'filter.evil.clean': program,
    'filter.evil.process': program,
    'diff.external': program,
    'remote.origin.url': 'ssh://127.0.0.1/none',
    'remote.origin.promisor': 'true',
    'extensions.partialClone': 'origin',
  }
  await mkdir(join(top, 'hooks'))
  for (const hook of ['post-index-change', 'post-checkout', 'reference-transaction']) {
    await symlink(program, join(top, 'hooks', hook))
  }
  for (const [name, value] of Object.entries(settings)) await git('config', name, value)
  // A missing object would be fetched.
  const tree = await git('rev-parse', 'HEAD:pkgs')
  await rm(at(`.git/objects/${tree.slice(0, 2)}/${tree.slice(2)}`), { force: true })
  assert.match(await revisionOf(repository), /^path-/)
  await assert.rejects(access(ran), { code: 'ENOENT' })
})
