import { readdir, readFile, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Workspace } from '../support/workspace.ts'
import type { Random } from './random.ts'

/** A store, a catalog and a package set, used by one server after another. */
export type World = {
  readonly data: string
  readonly blobs: string
  readonly staging: string
  /** The package set, and the names in it. */
  readonly packages: string
  readonly names: readonly string[]
  /** Environment variables that identify all processes of this world, including Nix builders. */
  readonly marks: readonly string[]
  /** The environment of a server. */
  environment(settings: Settings): Record<string, string>
}

/** Settings that vary between servers and change the layers, but not the members. */
export type Settings = { readonly maxLayers: string; readonly compression: string; readonly demo: boolean }

export const chooseSettings = (random: Random, demo: boolean): Settings => ({
  maxLayers: random.pick(['2', '4', '94']),
  compression: random.pick(['auto', 'gzip', 'zstd', 'none']),
  demo,
})

const [bases, others, slow] = [6, 6, 3]
const times = (count: number, each: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => each(index))

/** Packages of random bytes, some with dependencies, some slow to build. */
const program = [
  ...times(
    bases,
    (n) =>
      `base${n} = run "base${n}" "mkdir -p $out/bin; head -c ${400 + 300 * n}000 /dev/urandom > $out/bin/base${n}";`,
  ),
  ...times(
    others,
    (n) => `other${n} = run "other${n}" "mkdir -p $out/bin; head -c 300000 /dev/urandom > $out/bin/other${n};
      echo \${base${n}} \${base${(n + 2) % bases}} > $out/bin/needs";`,
  ),
  ...times(
    slow,
    (n) =>
      `slow${n} = run "slow${n}" "sleep ${n + 1}; mkdir -p $out/bin; head -c 200000 /dev/urandom > $out/bin/slow${n}";`,
  ),
].join('\n')

const allNames = [
  ...times(bases, (n) => `base${n}`),
  ...times(others, (n) => `other${n}`),
  ...times(slow, (n) => `slow${n}`),
]

/** @param demo the folder of the demo package set */
export async function openWorld(workspace: Workspace, data: string, demo: string): Promise<World> {
  const packages = await workspace.packageSet(program)
  const text = await readFile(join(packages, 'default.nix'), 'utf8')
  const unique = /unique = "(?<text>[^"]+)"/.exec(text)?.groups?.['text'] ?? ''
  return {
    data,
    blobs: join(data, 'store', 'layers'),
    staging: join(data, 'store', 'staging'),
    packages,
    names: allNames,
    marks: [`NIXERY_DATA=${data}`, `TEST_WORLD=${data}`, `unique=${unique}`],
    environment: (settings) => ({
      NIXERY_DATA: data,
      NIXERY_NIX_ENV: 'TEST_WORLD',
      TEST_WORLD: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_PKGS_PATH: settings.demo ? demo : packages,
      NIXERY_MAX_LAYERS: settings.maxLayers,
      NIXERY_COMPRESSION: settings.compression,
    }),
  }
}

/** Chooses an image of this world's packages, or of the demo set's. */
export function chooseName(random: Random, { names: all }: World, { demo }: Settings): string {
  if (demo) return random.pick(['hello', 'tree', 'jq', 'tree/hello', 'jq/hello', 'pv/tree'])
  return random.some(all, 1 + random.below(3)).join('/')
}

/** The number of files in a folder and their total size. A file that disappears counts 0 bytes. */
export async function contentOf(folder: string): Promise<{ count: number; bytes: number }> {
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return { count: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** Sets the times of all blobs, images and pulls back by a number of days. No server may be running. */
export async function age({ data, blobs, staging }: World, days: number): Promise<void> {
  const then = Math.floor(Date.now() / 1000 - days * 86_400)
  for (const folder of [blobs, staging, join(data, 'gcroots')]) {
    for (const name of await readdir(folder).catch(() => [])) await utimes(join(folder, name), then, then)
  }
  const database = new Database(join(data, 'catalog.db'))
  try {
    for (const [table, column] of [
      ['images', 'made_at'],
      ['images', 'pulled_at'],
      ['blobs', 'used_at'],
    ]) {
      database.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${column} IS NOT NULL`).run(then)
    }
    database.prepare("UPDATE about SET value = ? WHERE key = 'born'").run(String(then))
  } finally {
    database.close()
  }
}
