import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { localContents } from '../../contents/testing.ts'
import { amd64 } from '../../image/platform.ts'
import { dir, file } from '../../layers/testing.ts'
import { rootfs } from '../rootfs.ts'
import { arm, bin, makeStore, rootfsOf, script, short, x86 } from '../testing.ts'
import { nixConfMark } from './conf.ts'

const nix = bin({ nix: x86, 'nix-store': x86 })

describe('an image with Nix', () => {
  it('has a database, a root for each unreferenced path, and a nix.conf', async () => {
    const { packages, closure, trees } = makeStore({
      packages: [nix, bin({ sh: script })],
      needs: [dir(), nix],
    })
    const [nixPath, shell] = packages
    const [unused, needed] = [...trees.keys()].filter((path) => !packages.includes(path))
    assert.ok(nixPath && shell && unused && needed)
    const facts = closure.map((one) => ({
      ...one,
      references: one.storePath === shell ? [needed, shell] : [one.storePath],
    }))
    const { entries } = await rootfs(localContents, { packages, closure: facts, platform: amd64 })
    const inNix = entries.filter(({ path }) => /^(nix|etc\/nix)\//.test(path) && path !== 'nix/store')
    assert.deepEqual(
      inNix.map((entry) => [
        entry.path,
        entry.kind === 'symlink' ? `-> ${short(entry.target)}` : entry.mode.toString(8),
      ]),
      [
        ['etc/nix/nix.conf', '644'],
        ['nix/var', '755'],
        ['nix/var/nix', '755'],
        ['nix/var/nix/db', '755'],
        ['nix/var/nix/db/db.sqlite', '644'],
        ['nix/var/nix/db/schema', '644'],
        ['nix/var/nix/gcroots', '755'],
        ['nix/var/nix/gcroots/nixery', '755'],
        ['nix/var/nix/gcroots/nixery/n0', '-> n0'],
        ['nix/var/nix/gcroots/nixery/p0', '-> p0'],
        ['nix/var/nix/gcroots/nixery/p1', '-> p1'],
        ['nix/var/nix/gcroots/profiles', '-> /nix/var/nix/profiles'],
        ['nix/var/nix/profiles', '755'],
      ],
    )
    const textOf = (path: string) => {
      const entry = entries.find((one) => one.path === path)
      return entry?.kind === 'file'
        ? Buffer.from(entry.content.bytes)
            .toString()
            .replaceAll(`${dirname(nixPath)}/`, '')
        : undefined
    }
    assert.equal(textOf('nix/var/nix/db/schema'), '10')
    const conf = textOf('etc/nix/nix.conf') ?? ''
    assert.match(conf, /^build-users-group =$/m)
    assert.match(conf, /^experimental-features = nix-command flakes$/m)
    assert.match(conf, /^extra-sandbox-paths = \/bin\/sh=p1\/bin\/sh n1 p1$/m)
  })

  it('is recognized by a nix-store for its platform in the closure', async () => {
    const has = async (image: Parameters<typeof rootfsOf>[0]) =>
      (await rootfsOf(image)).has('nix/var/nix/db/db.sqlite')
    assert.equal(await has({ packages: [nix] }), true)
    assert.equal(await has({ packages: [dir()], needs: [nix] }), true)
    assert.equal(await has({ packages: [bin({ 'nix-store': script })] }), true)
    assert.equal(await has({ packages: [bin({ nix: x86 })] }), false)
    assert.equal(await has({ packages: [bin({ 'nix-store': arm })] }), false)
    assert.equal(await has({ packages: [bin({ 'nix-store': dir() })] }), false)
  })

  it('keeps the nix.conf of a package', async () => {
    const conf = dir({ etc: dir({ nix: dir({ 'nix.conf': file('mine') }) }) })
    const found = await rootfsOf({ packages: [nix, conf] })
    assert.equal(found.get('etc/nix/nix.conf'), '-> p1/etc/nix/nix.conf')
    assert.ok(found.has('nix/var/nix/db/db.sqlite'))
  })

  it('configures no shell for sandboxes if it has none', async () => {
    assert.doesNotMatch((await rootfsOf({ packages: [nix] })).get('etc/nix/nix.conf') ?? '', /sandbox-paths/)
  })

  it('marks its nix.conf, so that the entry point replaces it', () => {
    const entrypoint = readFileSync(
      join(import.meta.dirname, '..', '..', '..', 'packaging', 'entrypoint'),
      'utf8',
    )
    assert.ok(entrypoint.includes(`imageMark='${nixConfMark}'\n`))
  })
})
