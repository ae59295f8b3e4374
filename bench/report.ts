import { styleText } from 'node:util'
import type { Floor, Row, Unit } from './case.ts'
import type { Machine } from './machine.ts'
import { timesFloor, verdictOf, type CaseResult, type Results } from './results.ts'
import { compare, summarise } from './statistics.ts'
import { format } from './units.ts'

/** The report, for a terminal of 100 columns. */

const widths = { name: 46, median: 11, range: 23 }

/** What readers must know about the machine. */
export function machineLines({ processor, cores, memory, kernel, system, node, nix, commit, load }: Machine) {
  return [
    `${processor}, ${cores} cores, ${(memory / 2 ** 30).toFixed(0)} GiB of memory`,
    `${system}, kernel ${kernel}, Node ${node}, Nix ${nix}, commit ${commit}, load average ${load.toFixed(2)}`,
  ]
}

export const headLine = (): string => styleText('dim', lineOf('', 'median', 'min … max', 'floor × / target'))

/** The lines of one case, with the changes since an earlier run if given. */
export function caseLines(result: CaseResult, earlier?: Results): string[] {
  const title = styleText('bold', `${result.name}  ${result.took.toFixed(1)} s`)
  if (result.failed !== undefined) return [title, styleText('red', `  failed: ${result.failed}`)]
  const old = earlier?.cases.find(({ name }) => name === result.name)
  return [
    title,
    ...wrapped(result.what).map((line) => styleText('dim', `  ${line}`)),
    ...result.rows.flatMap((row) => [
      ...rowLines(row),
      ...changeLines(
        row,
        old?.rows.find(({ name }) => name === row.name),
      ),
    ]),
  ]
}

function rowLines(row: Row): string[] {
  const verdict = verdictOf(row)
  const target =
    verdict && `${verdict.text} ${styleText(verdict.reached ? 'green' : 'red', verdict.reached ? '✓' : '✗')}`
  return [
    lineOf(`  ${row.name}`, ...figures(row.values, row.unit), target ?? ''),
    ...(row.floors ?? []).map((floor) => styleText('dim', floorLine(row, floor))),
    ...(row.note === undefined ? [] : [styleText('dim', `      ${row.note}`)]),
  ]
}

const floorLine = (row: Row, floor: Floor): string =>
  lineOf(`    | ${floor.name}`, ...figures(floor.values, row.unit), timesText(timesFloor(row, floor)))

export const timesText = (times: number | undefined): string =>
  times === undefined || !Number.isFinite(times) ? '' : `${times.toFixed(times < 10 ? 2 : 0)} ×`

/** The median, and the range if there was more than one run. */
export function figures(values: readonly number[], unit: Unit): [median: string, range: string] {
  const { median, min, max } = summarise(values)
  const [least, greatest] = [format(min, unit), format(max, unit)]
  return [format(median, unit), least === greatest ? '' : `${least} … ${greatest}`]
}

function changeLines(row: Row, old: Row | undefined): string[] {
  if (!old) return []
  const { part, outsideNoise } = compare(summarise(old.values), summarise(row.values), row.exact)
  const floors = (row.floors ?? []).slice(0, 1).flatMap((floor) => {
    const before = old.floors?.find(({ name }) => name === floor.name)
    return before ? [compare(summarise(before.values), summarise(floor.values)).part] : []
  })
  const [floor] = floors
  const beside = floor === undefined ? '' : `, its floor ${percent(floor)}`
  const text = `      ${percent(part)} since then (was ${format(summarise(old.values).median, row.unit)})${beside}`
  return [outsideNoise ? styleText('yellow', `${text}: outside noise`) : styleText('dim', text)]
}

const percent = (part: number): string =>
  Number.isFinite(part) ? `${part < 0 ? '−' : '+'}${Math.abs(part * 100).toFixed(1)} %` : 'from zero'

function lineOf(name: string, median: string, range: string, last: string): string {
  const columns = [name.padEnd(widths.name), median.padStart(widths.median), range.padStart(widths.range)]
  return `${columns.join(' ')}  ${last}`.trimEnd()
}

/** Wraps a text at 96 characters. */
function wrapped(text: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < 96) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** How many targets were reached. */
export function summaryLine({ cases }: Results): string {
  const verdicts = cases.flatMap(({ rows }) => rows.flatMap((row) => verdictOf(row) ?? []))
  const reached = verdicts.filter((verdict) => verdict.reached).length
  const failed = cases.filter((one) => one.failed !== undefined).length
  return `${reached} of ${verdicts.length} targets reached${failed > 0 ? `, ${failed} cases failed` : ''}`
}
