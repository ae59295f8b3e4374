import { LRUCache } from 'lru-cache'
import { symbols, type Logger } from 'pino'
import type { AccessLogEntry } from '../http/access-log.ts'
import { redactJsonLine, type Redactor } from '../text/redact.ts'
import { errorFacts, isOrdinary } from './error-facts.ts'

/** The constant part of the lines of one path, as JSON; undefined if pino must write them. */
type PathPart = { readonly kind: string; readonly method: string; readonly text: string | undefined }

// Longer lines, and those that may contain a secret, are written by pino, like all other lines.
const mostKept = 2_000
const longest = 500

/**
 * A fast path for the log lines of requests, except for operator errors and bugs: writes the same line as pino from
 * cached parts.
 * @returns a function that returns whether it wrote the line
 */
export function createAccessLines(log: Logger, redactor: Redactor): (entry: AccessLogEntry) => boolean {
  const paths = new LRUCache<string, PathPart>({ max: mostKept })
  const agents = new LRUCache<string, { readonly text: string | undefined }>({ max: mostKept })
  const stream: unknown = Reflect.get(log, symbols.streamSym)
  if (!isSink(stream)) return () => false
  const plain = (text: string): string | undefined => (redactor.suspects(text) ? undefined : text)

  const pathText = ({ kind, method, path }: AccessLogEntry): string | undefined => {
    const key = method === 'GET' ? path : `${method} ${path}`
    const known = paths.get(key)
    if (known?.kind === kind && known.method === method) return known.text
    const fields = [kind, method, path].map((field) => JSON.stringify(field))
    const text = plain(`,"kind":${fields[0]},"method":${fields[1]},"path":${fields[2]}`)
    paths.set(key, { kind, method, text })
    return text
  }
  const agentText = (userAgent: string | undefined): string | undefined => {
    if (userAgent === undefined) return ''
    const known = agents.get(userAgent)
    if (known) return known.text
    const text = plain(`,"userAgent":${JSON.stringify(userAgent)}`)
    agents.set(userAgent, { text })
    return text
  }
  // Under a flood of requests, many responses share one failure object.
  const errors = new WeakMap<Error, string>()
  const errorText = (error: unknown): string => {
    if (!(error instanceof Error)) return ''
    const known = errors.get(error)
    if (known !== undefined) return known
    const line = redactJsonLine(JSON.stringify({ err: errorFacts(error) }), redactor).trimEnd()
    const text = `,${line.slice(1, -1)}`
    errors.set(error, text)
    return text
  }
  return (entry) => {
    const { id, method, path, status, bytes, userAgent, ms, error } = entry
    if (error !== undefined && !isOrdinary(error)) return false
    if (path.length + method.length + (userAgent?.length ?? 0) > longest) return false
    const before = pathText(entry)
    const after = agentText(userAgent)
    if (before === undefined || after === undefined) return false
    if (!log.isLevelEnabled('info')) return true
    stream.write(
      `{"level":"info","time":"${now()}","request":"${id}"${before},"status":${status},"bytes":${bytes}${after},"ms":${rounded(ms)}${errorText(error)},"msg":"answered"}\n`,
    )
    return true
  }
}

let at = 0
let time = ''

/** The time for log lines (`2026-07-30T12:03:22.123Z`), formatted at most once per millisecond. */
export function now(): string {
  const ms = Date.now()
  if (ms !== at) {
    at = ms
    time = new Date(ms).toISOString()
  }
  return time
}

/** To a tenth of a millisecond. */
export const rounded = (ms: number): number => Math.round(ms * 10) / 10

const isSink = (stream: unknown): stream is { write(line: string): void } =>
  stream !== null && typeof stream === 'object' && 'write' in stream && typeof stream.write === 'function'
