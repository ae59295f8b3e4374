import assert from 'node:assert/strict'
import { link, mkdir, mkdtemp, realpath, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { hasCode } from '../errors.ts'
import { pathSource } from './path.ts'

let folder: string
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nixery-path-')))
  await writeFile(join(folder, 'default.nix'), '{ system }: { }')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const sourceOf = (directory: string, fresh = 0) =>
  pathSource(directory, { fresh, stale: fresh, tags: 'latest' })
const isMissing = (error: unknown) => hasCode(error, 'SOURCE_INVALID')

describe('pathSource', () => {
  it('pins a folder to a revision of its contents', async () => {
    const source = sourceOf(folder)
    const pinned = await source.pin('latest')
    assert.deepEqual(pinned.set, { folder })
    assert.match(pinned.revision, /^path-[0-9a-f]{64}$/)
    await sleep(2)
    assert.equal((await source.pin('latest')).revision, pinned.revision)
    assert.equal(await pinned.unchanged(), true)

    await sleep(10)
    await writeFile(join(folder, 'new.nix'), '')
    assert.equal(await pinned.unchanged(), false)
    assert.notEqual((await source.pin('latest')).revision, pinned.revision)
  })

  it('checks at most once per interval, also for concurrent callers', async () => {
    const source = sourceOf(folder, 3_600_000)
    const [first, second] = await Promise.all([source.pin('latest'), source.pin('latest')])
    await writeFile(join(folder, 'new.nix'), '')
    assert.deepEqual(second.revision, first.revision)
    assert.equal((await source.pin('latest')).revision, first.revision)
  })

  it('returns the pinned set without a check, unless one is due', async () => {
    const source = sourceOf(folder, 3_600_000)
    assert.equal(source.current?.('latest'), undefined, 'nothing is known')
    const pinned = await source.pin('latest', { old: true })
    assert.equal(source.current?.('latest'), pinned)
    assert.equal(source.current?.('other'), undefined)
    const impatient = sourceOf(folder, -1)
    await impatient.pin('latest')
    assert.equal(impatient.current?.('latest'), undefined)
  })

  it('resolves a link at each check', async () => {
    const path = join(folder, 'link')
    const other = join(folder, 'other')
    await mkdir(other)
    await writeFile(join(other, 'default.nix'), '')
    await symlink('.', path)
    const source = sourceOf(path)
    const pinned = await source.pin('latest')
    assert.deepEqual(pinned.set, { folder })
    await unlink(path)
    await symlink('other', path)
    await sleep(2)
    assert.deepEqual((await source.pin('latest')).set, { folder: other })
  })

  it('distinguishes the targets of a link, even if their files are the same', async () => {
    const names = ['one', 'two']
    const current = join(folder, 'current')
    for (const name of names) {
      await mkdir(join(folder, name))
      // Of one time of change: it is the same file.
      await link(join(folder, 'default.nix'), join(folder, name, 'default.nix'))
    }
    const source = sourceOf(current)
    const pins = []
    for (const name of names) {
      await rm(current, { force: true })
      await symlink(name, current)
      pins.push(await source.pin('latest'))
    }
    const [one, two] = pins
    assert.notEqual(one?.revision, two?.revision)
    assert.notEqual(one?.state, two?.state)
  })

  it('reports a missing package set, and notices immediately when it exists', async () => {
    const source = sourceOf(join(folder, 'later'), 3_600_000)
    await assert.rejects(source.pin('latest'), isMissing)
    await mkdir(join(folder, 'later'))
    await assert.rejects(source.pin('latest'), isMissing)
    await writeFile(join(folder, 'later', 'default.nix'), '')
    const pinned = await source.pin('latest')
    assert.deepEqual(pinned.set, { folder: join(folder, 'later') })
    await rm(join(folder, 'later'), { recursive: true })
    assert.equal(await pinned.unchanged(), false)
  })

  it('accepts only the tag latest, or any tag', async () => {
    const strict = sourceOf(folder)
    const lenient = pathSource(folder, { fresh: 3_600_000, stale: 3_600_000, tags: 'any' })
    assert.deepEqual(await strict.tags(), ['latest'])
    await assert.rejects(strict.pin('missing-1'), (error: Error & { hint?: string }) => {
      assert.match(error.hint ?? '', /NIXERY_TAGS=any/)
      return hasCode(error, 'MANIFEST_UNKNOWN')
    })
    assert.equal((await lenient.pin('v1')).revision, (await lenient.pin('latest')).revision)
  })

  it('returns the last result during a new check, to callers that accept it', async () => {
    const source = pathSource(folder, { fresh: 0, stale: 3_600_000, tags: 'latest' })
    const before = await source.pin('latest', { old: true })
    await writeFile(join(folder, 'new.nix'), '')
    assert.equal((await source.pin('latest', { old: true })).revision, before.revision)
    const now = await source.pin('latest')
    assert.notEqual(now.revision, before.revision)
    assert.equal((await source.pin('latest', { old: true })).revision, now.revision)
  })

  it('never returns an outdated result', async () => {
    const source = pathSource(folder, { fresh: 0, stale: 0, tags: 'latest' })
    const before = await source.pin('latest', { old: true })
    await writeFile(join(folder, 'new.nix'), '')
    assert.notEqual((await source.pin('latest', { old: true })).revision, before.revision)
  })

  it('does not report missing packages when file descriptors run out', async () => {
    const script = `
      import { closeSync, openSync } from 'node:fs'
      import { pathSource } from ${JSON.stringify(join(import.meta.dirname, 'path.ts'))}
      const warnings = []
      const options = { fresh: 0, stale: 0, tags: 'latest', warn: (line) => warnings.push(line) }
      const [source, other] = [0, 1].map(() => pathSource(process.argv[1], options))
      const before = await source.pin('latest')
      const held = []
      try { for (;;) held.push(openSync('/dev/null')) } catch {}
      const during = await source.pin('latest')
      const code = await other.pin('latest').catch((error) => error.code)
      held.forEach((each) => closeSync(each))
      const after = await other.pin('latest')
      const revisions = [before, during, after].map(({ revision }) => revision)
      console.log(JSON.stringify({ code, revisions, warnings: warnings.length }))`
    const node = [process.execPath, '--input-type=module', '--eval', script, folder]
    const { stdout } = await execa('sh', ['-c', 'ulimit -n 100; exec "$0" "$@"', ...node])
    const found = JSON.parse(stdout) as { code: string; revisions: string[]; warnings: number }
    assert.equal(found.code, 'SOURCE_UNREACHABLE')
    assert.equal(new Set(found.revisions).size, 1)
    assert.equal(found.warnings, 1)
  })
})
