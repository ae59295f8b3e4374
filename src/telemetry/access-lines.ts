import { LRUCache } from 'lru-cache'
import { symbols, type Logger } from 'pino'
import type { AccessLogEntry } from '../http/access-log.ts'
import type { Redactor } from '../text/redact.ts'
import { now } from './clock.ts'

/** What is the same in all lines for one address and client, as JSON. */
type Fixed = { readonly before: string; readonly after: string }

// Longer ones, and whatever may hold a secret, are written by pino, as all other lines are.
const mostKept = 2_000
const longest = 500

/**
 * A quick way to write the line of an answer without an error: the same line as pino's, from parts that are kept.
 * @returns whether it was written
 */
export function createAccessLines(log: Logger, redactor: Redactor): (entry: AccessLogEntry) => boolean {
  const fixed = new LRUCache<string, Fixed | 'by pino'>({ max: mostKept })
  const stream: unknown = Reflect.get(log, symbols.streamSym)
  if (!isSink(stream)) return () => false

  const fixedOf = ({ kind, method, path, userAgent }: AccessLogEntry): Fixed | 'by pino' => {
    const before = `,"kind":${JSON.stringify(kind)},"method":${JSON.stringify(method)},"path":${JSON.stringify(path)}`
    const after = userAgent === undefined ? '' : `,"userAgent":${JSON.stringify(userAgent)}`
    const isPlain = !redactor.suspects(`${before}${after}`)
    return isPlain ? { before, after } : 'by pino'
  }
  return (entry) => {
    const { id, kind, method, path, status, bytes, userAgent, ms } = entry
    if (path.length + method.length + (userAgent?.length ?? 0) > longest) return false
    const key = `${kind} ${method} ${path}${userAgent === undefined ? '' : `\n${userAgent}`}`
    let parts = fixed.get(key)
    if (!parts) {
      parts = fixedOf(entry)
      fixed.set(key, parts)
    }
    if (parts === 'by pino') return false
    if (!log.isLevelEnabled('info')) return true
    const numbers = `"status":${status},"bytes":${bytes}`
    stream.write(
      `{"level":"info","time":"${now()}","request":"${id}"${parts.before},${numbers}${parts.after},"ms":${rounded(ms)},"msg":"answered"}\n`,
    )
    return true
  }
}

/** To a tenth of a millisecond. */
export const rounded = (ms: number): number => Math.round(ms * 10) / 10

const isSink = (stream: unknown): stream is { write(line: string): void } =>
  stream !== null && typeof stream === 'object' && 'write' in stream && typeof stream.write === 'function'
