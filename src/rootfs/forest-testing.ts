/** Forests of packages on disk in a short notation, for tests. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { localContents } from '../contents/testing.ts'
import type { StorePath } from '../image/store-path.ts'
import { dir, file, make, type Tree as PackageTree } from '../layers/testing.ts'
import { linkForest } from './forest.ts'
import type { Tree } from './work.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-forest-'))
})
after(() => rmSync(directory, { recursive: true }))

/** A tree in short notation: links are `-> target`, directories are records. */
type Short = string | { readonly [name: string]: Short }

const shortOf = (tree: Tree, short: (target: string) => string): Short =>
  Object.fromEntries(
    Array.from(tree, ([name, node]) => {
      if (node.kind === 'directory') return [name, shortOf(node.children, short)]
      return [name, node.kind === 'link' ? `-> ${short(node.target)}` : assert.fail('a forest has no files')]
    }),
  )

/** The forest of packages named p0, p1, …, with conflicts as `path: used, not ignored`. */
async function forestOf(packages: readonly PackageTree[]): Promise<{ tree: Short; conflicts: string[] }> {
  const root = mkdtempSync(join(directory, 'p-'))
  const paths = packages.map((_, index) => `${root}/p${index}` as StorePath)
  for (const [index, contents] of packages.entries()) make(`${root}/p${index}`, contents)
  const { tree, conflicts } = await linkForest(localContents, paths)
  const short = (text: string) => text.replace(`${root}/`, '')
  return {
    tree: shortOf(tree, short),
    conflicts: conflicts.map((one) =>
      one.reason === 'later'
        ? `${one.path}: ${short(one.used)}, not ${short(one.ignored)}`
        : `${one.path}: not ${short(one.ignored)}, ${one.reason}`,
    ),
  }
}

export const bin = (...names: string[]): PackageTree =>
  dir({ bin: dir(Object.fromEntries(names.map((n) => [n, file(n)]))) })

/** Links in /usr/bin, by the number of the package. */
export function binOf(links: Readonly<Record<string, number>>): { readonly usr: Short } {
  const programs = Object.entries(links).map(([name, p]) => [name, `-> p${p}/bin/${name}`])
  return { usr: { bin: Object.fromEntries(programs) } }
}

/** Packages, and the expected tree and conflicts. */
export type Row = readonly [
  what: string,
  packages: readonly PackageTree[],
  tree: Short,
  conflicts?: readonly string[],
]

export function testRows(rows: readonly Row[]): void {
  for (const [what, packages, tree, conflicts = []] of rows) {
    it(what, async () => {
      assert.deepEqual(await forestOf(packages), { tree, conflicts })
    })
  }
}
