import { readdir } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { digestOf } from '../../src/image/digest.ts'
import type { Layer } from '../../src/image/oci.ts'
import { parseStorePath, type PathFacts } from '../../src/image/store-path.ts'
import { testKey } from '../../src/catalog/keys-testing.ts'

/** How long a catalog does not use its database after a failure, in ms. */
export const pause = 50
const busyTimeout = 20

/** Opens a catalog as a separate process would, and collects its warnings. */
export async function openFile(file: string) {
  const warnings: string[] = []
  const warn = (line: string) => warnings.push(line)
  return { catalog: await openSqliteCatalog(file, { warn, busyTimeout, pause }), warnings }
}

export const layer = (text: string): Layer => ({
  digest: digestOf(text),
  diffId: digestOf(`${text}, unpacked`),
  size: 7,
  compression: 'gzip',
})

export const facts = (index: number, narHash = 'sha256-a'): PathFacts => ({
  storePath: parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p`),
  narHash,
  narSize: 1,
  references: [],
})

/** The NAR hash that a catalog has for `facts(index)`. */
export async function factsOf(catalog: Catalog, index: number): Promise<string | undefined> {
  const { storePath } = facts(index)
  return (await catalog.pathFacts([storePath])).get(storePath)?.narHash
}

/** Stores layers, blobs and facts; the key `layer N` has `layer('N')`. */
export async function fill(catalog: Catalog, count = 300): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await catalog.rememberLayer(testKey(`layer ${index}`), layer(`${index}`), [])
    await catalog.rememberBlob(digestOf(`${index}`), 7)
  }
  await catalog.rememberPathFacts(Array.from({ length: count }, (_, index) => facts(index)))
}

/** The damaged database files that were set aside. */
export async function setAsideOf(file: string): Promise<string[]> {
  const names = await readdir(dirname(file))
  return names.filter((name) => name.startsWith(`${basename(file)}.damaged-`))
}
