import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import fc from 'fast-check'
import { tarBlocks, trailer } from '../layers/archive.ts'
import { dir, file, raw, type Tree } from '../layers/testing.ts'
import { bin, buildRootfs, makeStore, script } from './testing.ts'
import { rootfs } from './rootfs.ts'
import { localContents } from '../contents/testing.ts'
import { amd64 } from '../image/platform.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-bytes-'))
})
after(() => rmSync(directory, { recursive: true }))

/** Unpacks the last layer of the packages with GNU tar. */
async function unpacked(packages: readonly Tree[]): Promise<{ root: string; paths: readonly string[] }> {
  const store = makeStore({ packages })
  const { entries } = await rootfs(localContents, { ...store, platform: amd64 })
  const root = mkdtempSync(join(directory, 'root-'))
  const input = Buffer.concat([...tarBlocks(entries), trailer])
  execFileSync('tar', ['-xpf', '-', '--numeric-owner', '-C', root], { input, env: { LC_ALL: 'C' } })
  return { root, paths: store.packages }
}

/** Maps the paths of all files below a folder to their contents, following links. */
function filesBelow(folder: string, prefix = ''): Map<string, string> {
  const files = new Map<string, string>()
  for (const name of readdirSync(raw(folder), { encoding: 'latin1' })) {
    const path = realpathSync.native(raw(`${folder}/${name}`), { encoding: 'latin1' })
    if (lstatSync(raw(path)).isDirectory()) {
      for (const [below, content] of filesBelow(path, `${prefix}${name}/`)) files.set(below, content)
    } else files.set(prefix + name, readFileSync(raw(path), 'latin1'))
  }
  return files
}

it('links a program whose name is not UTF-8', async () => {
  const { root } = await unpacked([bin({ 'run\xe9': script })])
  const output = execFileSync('ls', ['-1', join(root, 'bin')], { env: { LC_ALL: 'C' } })
  assert.deepEqual(output, raw('run\xe9\n'))
  assert.equal(readFileSync(raw(`${root}/usr/bin/run\xe9`), 'latin1'), '#!/bin/sh\n')
})

it('links every file of the packages, with names of any bytes; the first package wins', async () => {
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 3 })
    .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll(/[/\0]/g, 'x'))
    .filter((text) => !/^\.\.?$/.test(text) && !text.startsWith('.wh.'))
  const content = fc.constantFrom('1', '2', '3').map((text) => file(text))
  // Conflicts of files and directories are in the tests of `linkForest`.
  const packageOf = fc
    .tuple(fc.dictionary(name, content, { maxKeys: 3 }), fc.dictionary(name, content, { maxKeys: 3 }))
    .map(([a, b]) => dir({ lib: dir({ ...prefixed('f', a), d: dir({ e: dir(b) }) }) }))
  await fc.assert(
    fc.asyncProperty(fc.array(packageOf, { minLength: 1, maxLength: 3 }), async (packages) => {
      const { root, paths } = await unpacked(packages)
      const expected = new Map<string, string>()
      for (const path of paths) {
        for (const [name_, text] of filesBelow(`${path}/lib`)) {
          if (!expected.has(name_)) expected.set(name_, text)
        }
      }
      assert.deepEqual(filesBelow(`${root}/lib`), expected)
    }),
    { numRuns: 25 },
  )
})

it('does not depend on the order of packages without common names', async () => {
  const packages = [
    bin({ a: script }),
    bin({ b: script }),
    dir({ share: dir({ c: file() }), etc: dir({ d: file() }) }),
  ]
  const store = makeStore({ packages })
  const build = (order: readonly number[]) =>
    rootfs(localContents, {
      ...store,
      packages: order.map((index) => store.packages[index] ?? assert.fail()),
      platform: amd64,
    })
  assert.deepEqual(await build([2, 0, 1]), await build([0, 1, 2]))
})

it('contains no control characters in warnings, and replacement characters for invalid UTF-8', async () => {
  const odd = bin({ 'x\xe9\x1b[2J\n': script })
  const { warnings } = await buildRootfs({ packages: [odd, odd] })
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /^\/usr\/bin\/x\ufffd is in two packages/)
})

it('limits the number of warnings, and reports how many are omitted', async () => {
  const many = bin(Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`p${index}`, script])))
  const { warnings } = await buildRootfs({ packages: [many, many] })
  assert.equal(warnings.length, 51)
  assert.equal(warnings.at(-1), '30 more warnings like these')
})

const prefixed = (prefix: string, trees: Readonly<Record<string, Tree>>): Record<string, Tree> =>
  Object.fromEntries(Object.entries(trees).map(([name, tree]) => [prefix + name, tree]))
