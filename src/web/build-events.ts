import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenBody, Reply } from '../http/reply.ts'
import type { HttpRequest } from '../http/request.ts'
import type { BuildRecord, History } from './history.ts'

export type BuildEventsDeps = {
  readonly history: Pick<History, 'find' | 'changed'>
  /** Ends all streams, so that they do not delay a shutdown. */
  readonly stopping: AbortSignal
}

// The maximum number of open streams; other browsers reload the page periodically.
const mostStreams = 64
// Milliseconds after which a comment is sent, so that proxies keep the connection and disconnected clients are noticed;
// and between two events.
const [heartbeat, pause] = [15_000, 200]

/**
 * Events of builds for browsers (WHATWG HTML, "Server-sent events"). `lines` contains what Nix printed, as a JSON
 * array; its id is the number of all lines so far, and `Last-Event-ID`, or `after` in the query, says where to resume.
 * `changed` means that the page has changed, `end` that the build has ended.
 */
export function createBuildEvents(deps: BuildEventsDeps): (request: HttpRequest, id: string) => Reply {
  let open = 0
  return (request, id) => {
    // This status tells a browser not to try again.
    if (open >= mostStreams || !deps.history.find(id)) return { status: 204, headers: {}, body: undefined }
    const after = request.header('last-event-id') ?? new URLSearchParams(request.query).get('after') ?? ''
    const from = /^\d{1,9}$/.test(after) ? Number(after) : 0
    return {
      status: 200,
      headers: {
        'Content-Type': 'text/event-stream; charset=utf-8',
        'Cache-Control': 'no-store',
        'X-Accel-Buffering': 'no',
        'X-Content-Type-Options': 'nosniff',
      },
      body: {
        open(): Promise<OpenBody> {
          open += 1
          const over = new AbortController()
          const signal = AbortSignal.any([over.signal, deps.stopping])
          return Promise.resolve({
            chunks: () => eventsOf(deps.history, id, from, signal),
            close() {
              open -= 1
              over.abort()
              return Promise.resolve()
            },
          })
        },
      },
    }
  }
}

async function* eventsOf(
  history: BuildEventsDeps['history'],
  id: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let next = after
  let shown: string | undefined
  while (!signal.aborted) {
    const changed = history.changed(id) // subscribe first, so that no change is missed
    const record = history.find(id)
    if (!record) return
    const { lines, forgottenLines } = record
    const fresh = lines.slice(Math.max(0, next - forgottenLines))
    if (fresh.length > 0) {
      next = forgottenLines + lines.length
      yield event('lines', fresh, next)
    }
    const stage = stageOf(record)
    if (shown !== undefined && shown !== stage) yield event('changed', null)
    shown = stage
    if (record.state !== 'running') return yield event('end', null)
    if (!(await within(heartbeat, changed, signal))) yield Buffer.from(':\n\n')
    await sleep(pause, undefined, { signal }).catch(() => {})
  }
}

const event = (type: string, data: unknown, id?: number): Uint8Array =>
  Buffer.from(`event: ${type}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`)

/** A summary of what the page shows besides the log lines. */
const stageOf = ({
  state,
  resolved,
  realised,
  planned,
  layers,
  warnings,
  pulls,
  downloaded,
}: BuildRecord): string =>
  JSON.stringify([
    state,
    !!resolved,
    !!realised,
    !!planned,
    layers.length,
    warnings.length,
    pulls,
    downloaded,
  ])

/** Whether the promise resolves before the timeout and before the signal fires. */
async function within(ms: number, something: Promise<void>, signal: AbortSignal): Promise<boolean> {
  const over = new AbortController()
  const timeout = sleep(ms, false, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => true)
  try {
    return await Promise.race([something.then(() => true), timeout])
  } finally {
    over.abort()
  }
}
