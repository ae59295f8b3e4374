import { readOverview, type JobOverview, type Overview, type ProcessOverview } from '../fleet/overview.ts'
import { counted } from '../text/amounts.ts'
import { defineCommand } from './command.ts'
import { withDatabase } from './fleet.ts'

export const setUp = defineCommand({
  usesFolders: false,
  async run(context) {
    const overview = await withDatabase(context.config(), readOverview)
    context.print(overview, textOf(overview))
  },
})

const seconds = (count: number): string => `${Math.max(0, Math.round(count))} s`

const stateOf = ({ draining, differs, seen }: ProcessOverview): string => {
  const states = [
    ...(draining ? ['draining'] : []),
    ...(differs.length > 0 ? [`differs in ${differs.join(', ')}`] : []),
    ...(seen > 10 ? [`not seen for ${seconds(seen)}`] : []),
  ]
  return states.join('; ') || 'ok'
}

const placeOf = ({ state, host, lease }: JobOverview): string =>
  state === 'running' ? `${host ?? 'a process that is gone'}, for ${seconds(lease ?? 0)}` : state

function textOf({ processes, queued, running, jobs, leads }: Overview): string {
  const tables = [
    table(
      ['process', 'host', 'role', 'version', 'up', 'state'],
      processes.map((each) => [
        each.id.slice(0, 8),
        each.host,
        each.role,
        each.version,
        seconds(each.age),
        stateOf(each),
      ]),
    ),
    `${counted(running, 'build')} running, ${queued} queued`,
    ...(jobs.length > 0
      ? [
          table(
            ['job', 'for', 'requested', 'attempts', 'where'],
            jobs.map((each) => [
              each.kind,
              each.name ?? '-',
              `${seconds(each.age)} ago`,
              String(each.attempts),
              placeOf(each),
            ]),
          ),
        ]
      : []),
    ...leads.map(({ name, host }) => `${name}: ${host}`),
  ]
  return tables.join('\n\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
