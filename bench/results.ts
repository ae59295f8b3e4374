import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Limit, Row } from './case.ts'
import type { Machine } from './machine.ts'
import { compare, summarise } from './statistics.ts'
import { format, moreIsBetter } from './units.ts'

/** A run of the benchmark, as written to a file. */
export type Results = {
  /** Incremented when the file format changes. */
  readonly version: 1
  /** The start, in ISO 8601. */
  readonly time: string
  readonly machine: Machine
  readonly runs: number
  readonly quick: boolean
  /** Settings of every server. */
  readonly settings: Readonly<Record<string, string>>
  /** Seconds. */
  readonly took: number
  readonly cases: readonly CaseResult[]
}

export type CaseResult = {
  readonly name: string
  readonly what: string
  /** Seconds. */
  readonly took: number
  readonly rows: readonly Row[]
  /** The error message, if the case failed. */
  readonly failed?: string
}

export async function writeResults(file: string, results: Results): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `${JSON.stringify(results, null, 1)}\n`)
}

/** Reads results. Throws an Error if the file has none. */
export async function readResults(file: string): Promise<Results> {
  const results = JSON.parse(await readFile(file, 'utf8')) as Partial<Results>
  if (results.version !== 1 || !Array.isArray(results.cases))
    throw new Error(`${file} has no results of this benchmark`)
  return results as Results
}

/** The median of a row divided by that of its first floor; undefined without a floor. */
export function timesFloor(row: Row, floor = row.floors?.[0]): number | undefined {
  return floor && summarise(row.values).median / summarise(floor.values).median
}

/** The target of a row and whether it was reached; undefined if the row has no target. */
export function verdictOf(row: Row): { text: string; reached: boolean } | undefined {
  const { target } = row
  if (!target) return undefined
  const { median } = summarise(row.values)
  if (target.of === 'median') {
    return {
      text: limitText(target.limit, (value) => format(value, row.unit)),
      reached: within(median, target.limit),
    }
  }
  const [floor] = row.floors ?? []
  if (!floor) throw new Error(`a target without a floor: ${row.name}`)
  if (target.of === 'times the floor') {
    const text = limitText(target.limit, (value) => `${value} ×`)
    return { text, reached: within(timesFloor(row, floor) ?? NaN, target.limit) }
  }
  const { part, outsideNoise } = compare(summarise(floor.values), summarise(row.values))
  return { text: 'as floor', reached: !outsideNoise || part > 0 === moreIsBetter(row.unit) }
}

const within = (value: number, limit: Limit): boolean =>
  'atMost' in limit ? value <= limit.atMost : value >= limit.atLeast

const limitText = (limit: Limit, text: (value: number) => string): string =>
  'atMost' in limit ? `≤ ${text(limit.atMost)}` : `≥ ${text(limit.atLeast)}`
