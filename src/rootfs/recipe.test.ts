import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Account, ImageFile } from '../image/contents.ts'
import { localContents } from '../contents/testing.ts'
import { amd64 } from '../image/platform.ts'
import { dir, file } from '../layers/testing.ts'
import { addAccounts, ownerOf, standingAccounts } from './recipe-accounts.ts'
import { rootfs } from './rootfs.ts'
import { bin, buildRootfs, makeStore, rootfsOf, script, type Image } from './testing.ts'

const account: Account = {
  name: 'app',
  uid: 1000,
  gid: 1000,
  home: '/srv/app',
  shell: '/bin/sh',
  groups: ['users'],
}
const root = { uid: 0, gid: 0 }

/** The entry at a path, its owner, and its mode. */
async function entryAt(image: Image, path: string) {
  const { entries } = await buildRootfs(image)
  const entry = entries.find((each) => each.path === path)
  if (!entry || entry.kind === 'symlink') return entry?.target
  return [entry.mode.toString(8), entry.owner?.uid ?? 0, entry.owner?.gid ?? 0].join(' ')
}

describe('the contributions of recipes to the last layer', () => {
  it('are accounts, with lines in all four files, a group and a home', async () => {
    const image = { extra: { accounts: [account] } }
    const found = await rootfsOf(image)
    assert.match(found.get('etc/passwd') ?? '', /\nnobody:.*\napp:x:1000:1000::\/srv\/app:\/bin\/sh\n$/)
    assert.match(found.get('etc/group') ?? '', /\nusers:x:100:app\n[^]*\napp:x:1000:\n$/)
    assert.match(found.get('etc/shadow') ?? '', /^640 root:\*:[^]*\napp:!::0:99999:7:::\n$/)
    assert.match(found.get('etc/gshadow') ?? '', /\napp:!::\n$/)
    assert.equal(await entryAt(image, 'srv/app'), '755 1000 1000')
    assert.equal(await entryAt(image, 'srv'), '755 0 0')
  })

  it('are a working directory owned by the user, if it does not exist', async () => {
    const extra = { accounts: [account], workdir: '/var/www/site', user: 'app' }
    assert.equal(await entryAt({ extra }, 'var/www/site'), '755 1000 1000')
    assert.equal(await entryAt({ extra: { ...extra, workdir: '/srv' } }, 'srv'), '755 0 0')
    assert.equal(await entryAt({ extra: { workdir: '/w', user: '7:9' } }, 'w'), '755 7 9')
  })

  it('are files with modes and owners, which replace those of packages', async () => {
    const packages = [
      dir({
        etc: dir({ app: dir({ 'a.conf': file('theirs'), 'b.conf': file('b') }) }),
        bin: dir({ tool: script }),
      }),
    ]
    const files: ImageFile[] = [
      { path: '/etc/app/a.conf', text: 'ours', mode: '0600', uid: 5, gid: 6 },
      { path: '/srv/data', directory: true, mode: '2775', uid: 5, gid: 6 },
      { path: '/bin/other', link: 'tool' },
      { path: '/etc/bytes', base64: '/w==', mode: '4755', ...root },
    ]
    const image = { packages, extra: { files } }
    const found = await rootfsOf(image)
    assert.equal(found.get('etc/app/a.conf'), '600 ours')
    assert.equal(found.get('etc/app/b.conf'), '-> p0/etc/app/b.conf')
    assert.equal(await entryAt(image, 'etc/app/a.conf'), '600 5 6')
    assert.equal(await entryAt(image, 'srv/data'), '2775 5 6')
    // /bin is a link: files are placed at its target.
    assert.equal(await entryAt(image, 'usr/bin/other'), 'tool')
    assert.equal(await entryAt(image, 'bin'), 'usr/bin')
    assert.equal(await entryAt(image, 'etc/bytes'), '4755 0 0')
  })

  it('are copies of store paths', async () => {
    const needs = [dir({ app: dir({ run: script, data: dir({ x: file('x') }) }) })]
    const { closure } = makeStore({ needs })
    const store = `${closure[0]?.storePath}/app`
    const extra = { files: [{ path: '/opt/app', store, uid: 1, gid: 1 }] }
    const made = await rootfs(localContents, { packages: [], closure, platform: amd64, extra })
    const at = (path: string) => made.entries.find((each) => each.path === path)
    assert.deepEqual(at('opt/app/run'), {
      kind: 'file',
      path: 'opt/app/run',
      mode: 0o755,
      owner: { uid: 1, gid: 1 },
      content: { bytes: Buffer.from('#!/bin/sh\n') },
    })
    assert.equal(at('opt/app/data/x')?.kind, 'file')
  })

  it('are rejected in place of a directory', async () => {
    const extra = { files: [{ path: '/etc', text: '', mode: '0644', ...root }] }
    await assert.rejects(
      buildRootfs({ packages: [bin({})], extra }),
      /files: \/etc is a directory of the image/,
    )
  })

  it('include the database of Nix only if requested', async () => {
    const nix = { packages: [bin({ 'nix-store': script })] }
    const has = async (image: Image) => (await rootfsOf(image)).has('nix/var/nix/db/db.sqlite')
    assert.equal(await has(nix), true)
    assert.equal(await has({ ...nix, extra: { nixDatabase: false } }), false)
    assert.equal(await has({ packages: [bin({})], extra: { nixDatabase: true } }), true)
  })
})

describe('accounts', () => {
  it('keep existing accounts, and reject a name or id that is taken', () => {
    const refused = (one: Partial<Account>) => () => addAccounts(standingAccounts, [{ ...account, ...one }])
    assert.throws(
      refused({ name: 'www-data' }),
      /accounts: www-data exists with uid 33 and gid 33: use these ids, or another name/,
    )
    assert.throws(refused({ uid: 33 }), /accounts: app: the uid 33 belongs to www-data: use another one/)
    assert.throws(refused({ groups: ['wheel'] }), /accounts: app is in the group wheel, which does not exist/)
    const { passwd, group } = addAccounts(standingAccounts, [
      { ...account, name: 'www-data', uid: 33, gid: 33 },
    ])
    assert.equal(passwd, standingAccounts.passwd)
    assert.match(group, /\nusers:x:100:www-data\n/)
  })

  it('determine the ids of a user', () => {
    const files = addAccounts(standingAccounts, [account])
    assert.deepEqual(ownerOf('app', files), { uid: 1000, gid: 1000 })
    assert.deepEqual(ownerOf('app:users', files), { uid: 1000, gid: 100 })
    assert.deepEqual(ownerOf('5', files), { uid: 5, gid: 60 })
    assert.deepEqual(ownerOf('12345', files), { uid: 12345, gid: 0 })
    assert.throws(() => ownerOf('nobody2', files), /user: there is no account nobody2/)
  })
})
