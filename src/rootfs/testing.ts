/** Packages on disk, and their last layer, for tests. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before } from 'node:test'
import { localContents, memoryListings } from '../contents/testing.ts'
import { amd64, type Platform } from '../image/platform.ts'
import type { StorePath } from '../image/store-path.ts'
import { dir, file, make, type Tree } from '../layers/testing.ts'
import { rootfs, type Rootfs } from './rootfs.ts'
import type { RootfsExtra, RootfsInput } from './work.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-rootfs-'))
})
after(() => rmSync(directory, { recursive: true }))

export type Image = {
  readonly packages?: readonly Tree[]
  /** Dependencies of the packages. */
  readonly needs?: readonly Tree[]
  readonly platform?: Platform
  readonly buildId?: string
  readonly extra?: RootfsExtra
  readonly base?: RootfsInput['base']
  /** References by the names in the store: `{ p0: ['n1'] }`. */
  readonly references?: Readonly<Record<string, readonly string[]>>
}

/** Creates packages p0, p1, … and dependencies n0, n1, … in a new folder. In files, `@n0@` is replaced by the path of n0. */
export function makeStore({ packages = [], needs = [], references = {} }: Image) {
  const treeOf = new Map<StorePath, Tree>()
  const store = mkdtempSync(join(directory, 'store-'))
  const [requested, needed] = [packages, needs].map((trees, kind) =>
    trees.map((given, index) => {
      const tree = withPaths(given, store)
      const path = join(store, `${kind === 0 ? 'p' : 'n'}${index}`) as StorePath
      make(path, tree)
      treeOf.set(path, tree)
      return path
    }),
  )
  const closure = [...(needed ?? []), ...(requested ?? [])].map((storePath) => ({
    storePath,
    narHash: storePath,
    narSize: 1,
    references: (references[basename(storePath)] ?? []).map((name) => join(store, name) as StorePath),
  }))
  return { packages: requested ?? [], closure, trees: treeOf }
}

function withPaths(tree: Tree, store: string): Tree {
  if ('children' in tree) {
    return { children: tree.children.map(([name, child]) => [name, withPaths(child, store)] as const) }
  }
  if (!('bytes' in tree)) return tree
  const text = Buffer.from(tree.bytes).toString('latin1')
  return { ...tree, bytes: Buffer.from(text.replaceAll(/@([np]\d+)@/g, `${store}/$1`), 'latin1') }
}

/** Builds the rootfs from the local store and from memory, and asserts that both are equal. */
export async function buildRootfs(image: Image): Promise<Rootfs> {
  const { packages, closure, trees } = makeStore(image)
  const input = {
    packages,
    closure,
    platform: image.platform ?? amd64,
    buildId: image.buildId,
    extra: image.extra,
    base: image.base,
  }
  const result = await rootfs(localContents, input)
  assert.deepEqual(await rootfs(memoryListings(trees), input), result)
  return result
}

/** Removes the temporary store folder from a text. */
export const short = (text: string): string => text.replaceAll(/\/\S*\/store-[^/]*\//g, '')

/** Maps paths to `-> target` for links, `755/` for directories, and `644 text` for files. */
export async function rootfsOf(image: Image): Promise<Map<string, string>> {
  const { entries } = await buildRootfs(image)
  return new Map(
    entries.map((entry) => {
      if (entry.kind === 'symlink') return [entry.path, `-> ${short(entry.target)}`]
      const mode = entry.mode.toString(8)
      if (entry.kind === 'directory') return [entry.path, `${mode}/`]
      return [entry.path, `${mode} ${Buffer.from(entry.content.bytes).toString()}`]
    }),
  )
}

/** The header of a program, with e_machine at 18 (System V ABI, "ELF Header"). */
function elf(machine: number): Tree {
  const header = Buffer.alloc(64)
  header.write('\x7fELF', 'latin1')
  header.writeUInt16LE(machine, 18)
  return file(header, 0o755)
}
export const [x86, arm] = [elf(62), elf(183)]
export const bin = (programs: Readonly<Record<string, Tree>>): Tree => dir({ bin: dir(programs) })
export const script = file('#!/bin/sh\n', 0o755)
