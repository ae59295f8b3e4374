import assert from 'node:assert/strict'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { NixeryError } from '../errors.ts'
import type { Details } from '../nix/list.ts'
import { nameFilter } from '../packages/policy.ts'
import { sharedIndexesOf } from '../shared-search.ts'
import type { World } from '../upkeep/upkeep-testing.ts'
import { createMaker, rulesOf } from './make.ts'
import type { Search } from './query.ts'
import { createSearch } from './search.ts'
import { openSetIndex, prefixOf } from './set-index.ts'
import { createSharedSupply, type SharedSupply } from './shared-supply.ts'

/** Processes that share a store and a catalog, and the package set that some of them have. */
export type TestProcesses = {
  /** The revision of the package set, which has the packages `tool` and `secret`. */
  revision: string
  /** Why it does not evaluate. */
  failure: Error | undefined
  /** Whether the store is away. */
  isAway: boolean
  evaluations: number
  /** How often processes have looked for indexes, and begun to download one. */
  looks: number
  downloads: number
  readonly warnings: string[]
  folderOf(name: string): string
  /** A process without the package set, which ends with the others. */
  front(name: string): Search
  worker(name: string, deny?: readonly string[]): Search & Pick<SharedSupply, 'lead'>
  close(): Promise<void>
}

/** Overwrites the first page of the packages, which an index does not read when it is opened. */
export function damage(file: string): void {
  const database = new Database(file, { readonly: true })
  const of = (text: string) => database.prepare<[], number>(text).pluck().get() ?? 0
  const page = of("select rootpage from sqlite_schema where name = 'packages'")
  const size = of('pragma page_size')
  database.close()
  const opened = openSync(file, 'r+')
  writeSync(opened, Buffer.alloc(size, 0xff), 0, size, (page - 1) * size)
  closeSync(opened)
}

/** @param again milliseconds before a download of the same index */
export function openProcesses(world: World, again = 5): TestProcesses {
  const opened: { close(): Promise<void> }[] = []
  const unlessAway =
    <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      all.isAway ? Promise.reject(new NixeryError('STORE_UNAVAILABLE', 'the store is away')) : work(...args)
  const warn = (line: string) => all.warnings.push(line)
  const options = () => ({
    mode: 'demand' as const,
    background: true,
    note: () => {},
    warn,
    intervals: { look: 5, wait: 5, check: 5, again },
    shared: sharedIndexesOf({
      ...world,
      catalog: {
        ...world.catalog,
        searchIndexes: {
          ...world.catalog.searchIndexes,
          sets(...args) {
            all.looks += 1
            return world.catalog.searchIndexes.sets(...args)
          },
        },
      },
      blobs: {
        ...world.blobs,
        read: unlessAway((...args) => {
          all.downloads += 1
          return world.blobs.read(...args)
        }),
        publish: unlessAway((...args) => world.blobs.publish(...args)),
      },
    }),
  })
  const listed = (name: string) => ({
    path: [name],
    attribute: name,
    pname: name,
    version: '1',
    description: `release ${all.revision}`,
    program: undefined,
    homepage: undefined,
    license: null,
  })

  const all: TestProcesses = {
    revision: 'one',
    failure: undefined,
    isAway: false,
    evaluations: 0,
    looks: 0,
    downloads: 0,
    warnings: [],
    folderOf: (name) => join(world.folder, name),
    front(name) {
      const index = openSetIndex({ folder: all.folderOf(name), name: undefined, warn })
      const supply = createSharedSupply([{ index }], undefined, options())
      const search = createSearch(supply.sets, () => supply.close())
      opened.push(search)
      return search
    },
    worker(name, deny = []) {
      const set = {
        name: undefined,
        system: 'x86_64-linux',
        policy: {},
        filter: nameFilter([], deny),
        source: {
          pin: () =>
            Promise.resolve({
              set: { folder: '/' },
              revision: all.revision,
              unchanged: () => Promise.resolve(true),
            }),
        },
        async list(_set: unknown, _system: string, { onPart }: Details) {
          all.evaluations += 1
          if (all.failure) throw all.failure
          await onPart(['tool', 'secret'].map(listed), 2, 2)
          return { versions: [], failed: [] }
        },
      }
      const rules = rulesOf(set)
      const index = openSetIndex({
        folder: all.folderOf(name),
        name: undefined,
        prefix: prefixOf(rules),
        warn: assert.fail,
      })
      const maker = createMaker({ memory: 1, note: () => {} })
      const supply = createSharedSupply([{ set, index, rules }], maker, options())
      const search = createSearch(supply.sets, async () => {
        await Promise.all([supply.close(), maker.close()])
      })
      opened.push(search)
      return { ...search, lead: (mayMake) => supply.lead(mayMake) }
    },
    async close() {
      for (const each of opened.splice(0)) await each.close()
    },
  }
  return all
}
