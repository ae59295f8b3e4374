import { html } from 'hono/html'
import type { JobOverview, Overview, ProcessOverview } from '../../fleet/overview.ts'
import { counted } from '../../text/amounts.ts'
import type { Html } from '../layout.ts'
import { durationText, imageText } from '../times.ts'
import { partOf, tableOf, type Read } from './parts.ts'

/** The processes that share a database: what `nixery status` prints. */
export const fleetPart = (read: Read<Overview>): Html =>
  partOf(
    'Fleet',
    read,
    ({ processes, queued, running, jobs, leads }) =>
      html`${tableOf(
          ['process', 'host', 'role', 'version', 'up', 'state'],
          processes.map((each) => [
            html`<code>${each.id.slice(0, 8)}</code>`,
            each.host,
            each.role,
            each.version,
            secondsText(each.age),
            stateOf(each),
          ]),
        )}
        <h3>Queue</h3>
        <p>${counted(running, 'build')} running, ${queued} queued.</p>
        ${
          jobs.length > 0 &&
          tableOf(
            ['job', 'for', 'requested', 'attempts', 'where'],
            jobs.map((each) => [
              each.kind,
              each.name === undefined ? '–' : html`<span class="image">${imageText(each.name)}</span>`,
              `${secondsText(each.age)} ago`,
              each.attempts,
              placeOf(each),
            ]),
          )
        }
        ${
          leads.length > 0 &&
          html`<h3>Leads</h3>
            <p class="quiet small">What one process does for all of them.</p>
            ${tableOf(
              ['task', 'host', 'held for another'],
              leads.map(({ name, host, seconds }) => [name, host, secondsText(seconds)]),
            )}`
        }`,
  )

const secondsText = (seconds: number): string => durationText(Math.max(0, Math.round(seconds)) * 1000)

const stateOf = ({ draining, differs, seen }: ProcessOverview): string => {
  const states = [
    ...(draining ? ['draining'] : []),
    ...(differs.length > 0 ? [`differs in ${differs.join(', ')}`] : []),
    ...(seen > 10 ? [`not seen for ${secondsText(seen)}`] : []),
  ]
  return states.join('; ') || 'ok'
}

const placeOf = ({ state, host, lease }: JobOverview): string =>
  state === 'running' ? `${host ?? 'a process that is gone'}, for ${secondsText(lease ?? 0)}` : state
