import { parentPort, workerData } from 'node:worker_threads'
import type { PackageEntry } from './entry.ts'
import { writeIndex, type IndexFacts } from './index-file.ts'
import { programsIn } from './programs.ts'
import { lowerThreadPriority } from '../queue/thread-priority.ts'

/** The data that the thread starts with. */
export type FillData = Omit<IndexFacts, 'packages'> & {
  readonly file: string
  readonly system: string
  /** See `programsIn`. */
  readonly programs: string | undefined
}

/** Packages to add; `end` writes the index, and ends the thread. Nothing is posted back. */
export type FillTask = readonly PackageEntry[] | 'end'

lowerThreadPriority(19)

const { file, system, programs: programsFile, ...facts } = workerData as FillData
const entries: PackageEntry[] = []

parentPort?.on('message', (task: FillTask) => {
  if (task !== 'end') {
    entries.push(...task)
    return
  }
  const known = programsIn(programsFile, system)
  const withPrograms = entries.map((entry) => {
    const more = known.get(entry.attribute)
    return more ? { ...entry, programs: [...new Set([...entry.programs, ...more])] } : entry
  })
  writeIndex(file, facts, withPrograms)
  parentPort?.close()
})
