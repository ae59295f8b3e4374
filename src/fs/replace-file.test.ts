import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { writeOutput } from './output.ts'
import { isPart } from './part.ts'
import { replaceFile } from './replace-file.ts'

const folder = await mkdtemp(join(tmpdir(), 'replace-file-'))
after(() => rm(folder, { recursive: true }))
const parts = async () => (await readdir(folder)).filter((name) => isPart(name))

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    await new Promise(setImmediate)
    yield Buffer.alloc(10_000)
  }
}

describe('replaceFile', () => {
  it('writes text, bytes and chunks', async () => {
    const contents = ['täxt', Buffer.from('täxt'), [Buffer.from('tä'), Buffer.from('xt')]]
    for (const [index, content] of contents.entries()) {
      for (const durable of [true, false]) {
        const file = join(folder, `content-${index}`)
        await replaceFile(file, content, { durable })
        assert.equal(await readFile(file, 'utf8'), 'täxt')
      }
    }
    assert.deepEqual(await parts(), [])
  })

  it('keeps the old contents when it is aborted or fails', async () => {
    const file = join(folder, 'kept')
    await writeFile(file, 'before')
    const abort = new AbortController()
    const writing = replaceFile(file, endless(), { signal: abort.signal })
    while ((await parts()).length === 0) await new Promise(setImmediate)
    abort.abort()
    await assert.rejects(writing, { name: 'AbortError' })
    async function* failing() {
      yield Buffer.from('half')
      throw new Error('broken')
    }
    await assert.rejects(replaceFile(file, failing()), /broken/)
    await assert.rejects(replaceFile(folder, 'text'), { code: /EISDIR|ENOTEMPTY|EEXIST/ })
    assert.equal(await readFile(file, 'utf8'), 'before')
    assert.deepEqual(await parts(), [])
  })

  it('writes the unfinished file to the staging folder', async () => {
    const staging = join(folder, 'staging')
    await mkdir(staging)
    const abort = new AbortController()
    const writing = replaceFile(join(folder, 'staged'), endless(), { staging, signal: abort.signal })
    while ((await readdir(staging)).length === 0) await new Promise(setImmediate)
    assert.deepEqual(await parts(), [])
    abort.abort()
    await assert.rejects(writing)
    assert.deepEqual(await readdir(staging), [])
  })

  it('follows a symbolic link', async () => {
    await writeFile(join(folder, 'target'), 'before')
    await symlink('target', join(folder, 'link'))
    await replaceFile(join(folder, 'link'), 'after')
    assert.equal(await readFile(join(folder, 'target'), 'utf8'), 'after')
  })
})

describe('writeOutput', () => {
  it('does not replace a device', async () => {
    await writeOutput('/dev/null', [Buffer.from('nothing')])
    assert.ok((await stat('/dev/null')).isCharacterDevice())
  })
})
