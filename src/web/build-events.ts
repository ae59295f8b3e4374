import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import type { OpenBody, Reply } from '../http/reply.ts'
import type { HttpRequest } from '../http/request.ts'
import type { BuildRecord, History } from './history.ts'

export type BuildEventsDeps = {
  readonly history: Pick<History, 'find' | 'changed'>
  /** Ends all streams, so that they do not delay a shutdown. */
  readonly stopping: AbortSignal
  /** The address of a client; undefined if it is unknown. */
  readonly addressOf?: ((request: HttpRequest) => string | undefined) | undefined
}

// The maximum numbers of open streams, in total and to one address; other browsers reload the page periodically.
const [mostStreams, mostPerAddress] = [64, 16]
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
  const byAddress = new Map<string, number>()
  return (request, id) => {
    const address = deps.addressOf?.(request) ?? ''
    const isFull = () => open >= mostStreams || (byAddress.get(address) ?? 0) >= mostPerAddress
    // This status makes a browser stop retrying.
    if (isFull() || !deps.history.find(id)) return { status: 204, headers: {}, body: undefined }
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
          // Several may have been accepted before the first of them was opened.
          if (isFull()) return Promise.reject(new NixeryError('OVERLOADED', 'too many streams are open'))
          open += 1
          byAddress.set(address, (byAddress.get(address) ?? 0) + 1)
          const over = new AbortController()
          const signal = AbortSignal.any([over.signal, deps.stopping])
          return Promise.resolve({
            chunks: () => eventsOf(deps.history, id, from, signal),
            close() {
              open -= 1
              const left = (byAddress.get(address) ?? 1) - 1
              if (left > 0) byAddress.set(address, left)
              else byAddress.delete(address)
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
