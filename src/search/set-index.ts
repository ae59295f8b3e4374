import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openIndex, type IndexFile } from './index-file.ts'

/** The index of one package set: a file in a folder, which is replaced as a whole. */
export type SetIndex = {
  /** The name of the package set; undefined for a single one. */
  readonly name: string | undefined
  readonly current: IndexFile | undefined
  /** The path of a new file of this set: under the last part of its name, or unfinished. */
  place(name: string): string
  part(name: string): string
  /** Uses a file of this set, and removes all others. @throws UnusableIndex if it is not an index of this format */
  use(file: string): void
  /** Reads from the index. If that fails, the index is discarded. */
  read<T>(otherwise: T, work: (index: IndexFile) => T): T
  /** Discards the index and its file. */
  drop(): void
  close(): void
}

/** The bytes of an index are complete, and are not an index that this version can read. */
export class UnusableIndex extends Error {}

export type SetIndexOptions = {
  readonly folder: string
  readonly name: string | undefined
  /** Uses an existing file only if the last part of its name starts with this. */
  readonly prefix?: string
  readonly warn: (line: string) => void
}

// Milliseconds after which an unfinished file belongs to a process that was killed.
const abandonedAfter = 3_600_000

/** Opens the index that an earlier process has left in the folder, if there is one. */
export function openSetIndex({ folder, name, prefix = '', warn }: SetIndexOptions): SetIndex {
  const own = `${name ?? 'packages'}.`
  let current: IndexFile | undefined
  const files = (ending: string) =>
    namesIn(folder).filter((file) => file.startsWith(own) && file.endsWith(ending))
  const remove = (file: string) => rmSync(join(folder, file), { force: true })

  const index: SetIndex = {
    name,
    get current() {
      return current
    },
    place: (last) => join(folder, `${own}${last}.db`),
    part(last) {
      mkdirSync(folder, { recursive: true })
      return join(folder, `${own}${last}.part`)
    },
    use(file) {
      const opened = open(file)
      current?.close()
      current = opened
      for (const other of files('.db')) if (join(folder, other) !== file) remove(other)
    },
    read(otherwise, work) {
      if (!current) return otherwise
      try {
        return work(current)
      } catch (error) {
        warn(`the search index${ofSet(index)} failed and will be rebuilt: ${messageOf(error)}`)
        index.drop()
        return otherwise
      }
    },
    drop() {
      if (!current) return
      rmSync(current.file, { force: true })
      current.close()
      current = undefined
    },
    close() {
      current?.close()
      current = undefined
    },
  }

  for (const file of files('.part')) {
    const changed = statSync(join(folder, file), { throwIfNoEntry: false })?.mtimeMs
    if (changed !== undefined && changed < Date.now() - abandonedAfter) remove(file)
  }
  const found = files('.db').find((file) => file.startsWith(own + prefix))
  if (found !== undefined) {
    try {
      index.use(join(folder, found))
    } catch (error) {
      warn(`the search index${ofSet(index)} cannot be read and will be rebuilt: ${messageOf(error)}`)
      remove(found)
    }
  }
  return index
}

function open(file: string): IndexFile {
  try {
    return openIndex(file)
  } catch (error) {
    throw new UnusableIndex(messageOf(error))
  }
}

/** How the last parts of the names of files begin whose packages were chosen by these rules. */
export const prefixOf = (rules: string): string => `${rules.slice(0, 16)}.`

/** ` of NAME` for messages; empty for a single set. */
export const ofSet = ({ name }: Pick<SetIndex, 'name'>): string => (name === undefined ? '' : ` of ${name}`)

/** How many packages the index has, for messages. */
export function packagesIn({ current }: SetIndex): string {
  const { packages = 0 } = current ?? {}
  return `${packages} package${packages === 1 ? '' : 's'}`
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
