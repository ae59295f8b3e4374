import assert from 'node:assert/strict'
import { chmod, cp, mkdir, mkdtemp, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fingerprint } from './fingerprint.ts'

let folder: string
const at = (name: string) => join(folder, name)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-fingerprint-'))
  await mkdir(at('pkgs/hello'), { recursive: true })
  await mkdir(at('.git'))
  await writeFile(at('default.nix'), '{ }')
  await writeFile(at('pkgs/hello/hello.nix'), '{ }')
  await writeFile(at('.git/HEAD'), 'ref: refs/heads/main')
  await symlink('pkgs/hello', at('link'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('fingerprint', () => {
  it('is the same for the same tree', async () => {
    assert.equal(await fingerprint(folder), await fingerprint(folder))
  })

  const changes: Record<string, () => Promise<unknown>> = {
    'new content': () => writeFile(at('default.nix'), '{ system }: { }'),
    'new content of the same length': () => writeFile(at('pkgs/hello/hello.nix'), '[ ]'),
    'new content with the old time': async () => {
      const time = new Date(0)
      await utimes(at('default.nix'), time, time)
      const before = await fingerprint(folder)
      await writeFile(at('default.nix'), '[ ]')
      await utimes(at('default.nix'), time, time)
      assert.notEqual(await fingerprint(folder), before)
    },
    'another mode': () => chmod(at('default.nix'), 0o755),
    'another mode of a folder': () => chmod(at('pkgs/hello'), 0o700),
    'another name': () => rename(at('default.nix'), at('other.nix')),
    'another name of a folder': () => rename(at('pkgs/hello'), at('pkgs/hallo')),
    'a new file': () => writeFile(at('pkgs/hello/new'), ''),
    'a new empty folder': () => mkdir(at('pkgs/empty')),
    'a removed file': () => unlink(at('pkgs/hello/hello.nix')),
    "a link's other target": async () => {
      await unlink(at('link'))
      await symlink('pkgs', at('link'))
    },
    'a file instead of a link': async () => {
      await unlink(at('link'))
      await writeFile(at('link'), 'pkgs/hello')
    },
  }
  for (const [what, change] of Object.entries(changes)) {
    it(`changes with ${what}`, async () => {
      const before = await fingerprint(folder)
      await change()
      assert.notEqual(await fingerprint(folder), before)
    })
  }

  it("does not depend on git's own files", async () => {
    const before = await fingerprint(folder)
    await writeFile(at('.git/index'), 'x')
    assert.equal(await fingerprint(folder), before)
  })

  it('does not follow links', async () => {
    await symlink('.', at('pkgs/loop'))
    await symlink('/nowhere', at('pkgs/dangling'))
    assert.match(await fingerprint(folder), /^[0-9a-f]{64}$/)
  })

  it('does not mix up names and folders', async () => {
    await mkdir(at('a/b'), { recursive: true })
    await cp(at('default.nix'), at('a/b/c'))
    const nested = await fingerprint(folder)
    await rename(at('a/b/c'), at('a/b c'))
    assert.notEqual(await fingerprint(folder), nested)
  })

  it('tolerates concurrent changes of the tree', async () => {
    const busy = new AbortController()
    const stirring = (async () => {
      while (!busy.signal.aborted) {
        await mkdir(at('stir/deep'), { recursive: true })
        await writeFile(at('stir/deep/file'), '')
        await rm(at('stir'), { recursive: true })
      }
    })()
    for (let count = 0; count < 40; count += 1) await fingerprint(folder)
    busy.abort()
    await stirring
  })

  it('fails if the folder does not exist', async () => {
    await assert.rejects(fingerprint(at('nowhere')), { code: 'ENOENT' })
  })
})
