import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { figures, machineLines, summaryLine, timesText } from './report.ts'
import { timesFloor, verdictOf, type CaseResult, type Results } from './results.ts'

const document = join(import.meta.dirname, '..', 'docs', 'performance.md')
const begin = '<!-- results: written by `node bench/run.ts --write-docs FILE` -->'
const end = '<!-- end of results -->'

/** Writes the results of a run into the documentation, replacing the previous ones. */
export async function writeDocument(results: Results): Promise<string> {
  const text = await readFile(document, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`${document} has no section for results`)
  const block = [begin, '', ...blockLines(results), '', end].join('\n')
  await writeFile(document, `${text.slice(0, from)}${block}${text.slice(to + end.length)}`)
  return document
}

function blockLines(results: Results): string[] {
  const { machine, time, runs, quick, settings, took, cases } = results
  return [
    `${time.slice(0, 10)}, in ${Math.round(took)} s, ${runs} runs of each${quick ? ', with small inputs (`--quick`)' : ''}.`,
    ...machineLines(machine).map((line) => `${line}.`),
    ...Object.entries(settings).map(([name, value]) => `With \`${name}=${value}\`.`),
    `${summaryLine(results)}.`,
    ...cases.flatMap(caseBlock),
  ]
}

function caseBlock({ name, what, rows, failed }: CaseResult): string[] {
  const head = ['', `### ${name}`, '', what, '']
  if (failed !== undefined) return [...head, 'This case failed.']
  return [
    ...head,
    '| | median | min … max | floor, and ratio to it | target |',
    '| --- | ---: | --- | --- | --- |',
    ...rows.map((row) => {
      const [middle, range] = figures(row.values, row.unit)
      const floors = (row.floors ?? []).map((floor) => {
        const [value] = figures(floor.values, row.unit)
        return `${floor.name} ${value}: ${timesText(timesFloor(row, floor))}`
      })
      const verdict = verdictOf(row)
      const target = verdict ? `${verdict.text}: ${verdict.reached ? 'reached' : '**not reached**'}` : ''
      const title = row.note === undefined ? row.name.trim() : `${row.name.trim()} (${row.note})`
      return `| ${[title, middle, range, floors.join('<br>'), target].map(cell).join(' | ')} |`
    }),
  ]
}

const cell = (text: string): string => text.replaceAll('|', '\\|')
