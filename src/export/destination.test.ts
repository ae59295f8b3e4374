import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { checkDestination, formatDestination, parseDestination } from './destination.ts'

const refused = (error: unknown) => hasCode(error, 'CONFIG_INVALID')

describe('an output', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-destination-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('consists of a format and a path', () => {
    assert.deepEqual(parseDestination('docker-archive:a/b.tar'), {
      form: 'docker-archive',
      path: resolve('a/b.tar'),
    })
    assert.deepEqual(parseDestination('oci:x'), { form: 'oci', path: resolve('x') })
    for (const form of ['docker-archive', 'oci-archive']) {
      assert.equal(formatDestination(parseDestination(`${form}:-`)), `${form}:-`)
    }
  })

  for (const text of [
    '',
    'git.tar',
    'docker-archive',
    'docker-archive:',
    'dir:x',
    'oci:-',
    'oci:a:b',
    'OCI:a',
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => assert.throws(() => parseDestination(text), refused))
  }

  it('is refused immediately if it is not writable', async () => {
    const file = join(folder, 'file')
    const other = join(folder, 'other')
    await writeFile(file, '')
    await mkdir(other)
    await writeFile(join(other, 'precious'), '')
    const check = (text: string, terminal = false) => checkDestination(parseDestination(text), terminal)
    for (const bad of [
      `docker-archive:${folder}`,
      `docker-archive:${folder}/none/x.tar`,
      `oci-archive:${file}/x.tar`,
      `oci:${file}`,
      `oci:${other}`,
    ]) {
      await assert.rejects(check(bad), refused, bad)
    }
    await assert.rejects(check('docker-archive:-', true), refused)
    for (const good of [
      'docker-archive:-',
      `docker-archive:${file}`,
      `oci:${folder}/new`,
      'docker-archive:/dev/null',
    ]) {
      await check(good)
    }
  })

  it('is refused without write permission', { skip: process.getuid?.() === 0 && 'root may' }, async () => {
    const locked = join(folder, 'locked')
    await mkdir(locked)
    await chmod(locked, 0o555)
    await assert.rejects(checkDestination(parseDestination(`oci:${locked}/x`), false), refused)
  })
})
