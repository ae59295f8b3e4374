import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { checkDisk, fileSystemOf } from './network-disk.ts'

const mounts = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /data rw - nfs4 server:/export rw,vers=4.2
31 30 8:2 / /data/local rw master:2 - xfs /dev/sdb rw
32 21 0:41 / /with\\040blank rw - fuse.sshfs me@host:/ rw
33 21 8:3 / /twice rw - cifs //server/share rw
34 33 8:4 / /twice rw - ext4 /dev/sdc rw
`

describe('fileSystemOf', () => {
  const table: [path: string, type: string][] = [
    ['/', 'ext4'],
    ['/database', 'ext4'],
    ['/data', 'nfs4'],
    ['/data/nixery', 'nfs4'],
    ['/data/local/nixery', 'xfs'],
    ['/with blank/x', 'fuse.sshfs'],
    ['/twice/x', 'ext4'],
  ]
  for (const [path, type] of table) {
    it(`${path} is ${type}`, () => assert.equal(fileSystemOf(mounts, path), type))
  }
  it('of nothing is unknown', () => assert.equal(fileSystemOf('', '/data'), undefined))
})

describe('checkDisk', () => {
  it("refuses a new file on a network disk, warns about an existing one, and honors the operator's setting", () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nixery-disk-')))
    const file = join(folder, 'new', 'folder', 'catalog.db')
    const lines: string[] = []
    const check = (which: string, type: string, isAllowed = false) =>
      checkDisk(which, {
        isAllowed,
        warn: (line) => lines.push(line),
        mounts: () => `1 0 0:1 / ${folder} rw - ${type} x rw\n`,
      })
    check(file, 'ext4')
    assert.throws(
      () => check(file, 'nfs4'),
      (error) => hasCode(error, 'CONFIG_INVALID') && error.message.includes(`${folder} is nfs4`),
    )
    check(file, 'nfs4', true)
    assert.deepEqual(lines, [])
    const old = join(folder, 'catalog.db')
    writeFileSync(old, '')
    check(old, 'cifs')
    assert.match(
      lines.join('\n'),
      /^the catalog is on a network disk \(.* is cifs\), .*NIXERY_SQLITE_NETWORK=on/,
    )
    rmSync(folder, { recursive: true })
  })
})
