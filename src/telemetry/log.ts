import { pino, type Logger } from 'pino'
import pretty from 'pino-pretty'
import type { BuildEvent, BuildListener } from '../build/events.ts'
import type { ErrorCode } from '../errors.ts'
import { NixeryError } from '../errors.ts'
import type { Answered } from '../http/app.ts'
import type { Redactor } from '../text/redact.ts'
import { createLines } from './lines.ts'
import { redactJsonLine } from './redact-line.ts'

export type { Logger } from 'pino'

/**
 * JSON lines on standard output, or lines for people if that is a terminal.
 * @param redactor takes the secrets out of each line, whoever wrote it
 */
export function createLog(level: string, redactor: Redactor): Logger {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    hooks: { streamWrite: (line: string) => redactJsonLine(line, redactor) },
  }
  if (!process.stdout.isTTY) {
    const lines = createLines(1)
    process.on('exit', () => lines.flush())
    return pino(options, lines)
  }
  return pino(
    options,
    pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l', singleLine: true }),
  )
}

// Of these the fault is the client's: an operator need not look.
const ordinary: ReadonlySet<ErrorCode> = new Set([
  'NAME_INVALID',
  'TAG_INVALID',
  'DIGEST_INVALID',
  'RANGE_INVALID',
  'QUERY_INVALID',
  'REQUEST_INVALID',
  'PRECONDITION_FAILED',
  'PACKAGE_UNKNOWN',
  'PACKAGE_DENIED',
  'MANIFEST_UNKNOWN',
  'BLOB_UNKNOWN',
  'ROUTE_UNKNOWN',
  'UNSUPPORTED',
  'CANCELLED',
  'STILL_BUILDING',
  'OVERLOADED',
])

const isOrdinary = (error: unknown): boolean => error instanceof NixeryError && ordinary.has(error.code)

const rounded = (ms: number): number => Math.round(ms * 10) / 10

/** JSON escapes control characters below U+0020 alone, and a terminal obeys others, too (U+009B begins a sequence). */
const printed = (text: string): string =>
  text.replace(/[\x7f-\x9f]/g, (one) => `\\x${one.charCodeAt(0).toString(16)}`)

/** Writes a line for each answer. */
export const logAnswers =
  (log: Logger) =>
  ({ id, error, ms, ...rest }: Answered): void => {
    const sent = { path: printed(rest.path), userAgent: rest.userAgent && printed(rest.userAgent) }
    const line = {
      request: id,
      ...rest,
      ...sent,
      ms: rounded(ms),
      ...(error !== undefined && { err: error }),
    }
    if (error !== undefined && !isOrdinary(error)) log.error(line, 'answered')
    else log.info(line, 'answered')
  }

/** Writes a line for each event of a build. */
export function logBuilds(log: Logger, redactor: Redactor): BuildListener {
  // A private key in what a build prints is known by where its lines stand.
  const running = new Map<string, (line: string) => string>()
  return (build, event) => {
    if (event.type === 'started') running.set(build, redactor.lines())
    if (event.type === 'finished' || event.type === 'failed') running.delete(build)
    const { type, ...facts } = event
    const line = { build, ...facts, ...('ms' in facts && { ms: rounded(facts.ms) }) }
    if (type === 'warning') log.warn({ build }, event.message)
    else if (type === 'nix') log.info({ build }, `nix: ${running.get(build)?.(event.line) ?? event.line}`)
    else if (type !== 'failed') log.info(line, words[type])
    else if (isOrdinary(event.error))
      log.info({ build, ms: rounded(event.ms), err: event.error }, 'build failed')
    else log.error({ build, ms: rounded(event.ms), err: event.error }, 'build failed')
  }
}

const words: Readonly<Record<Exclude<BuildEvent['type'], 'warning' | 'nix' | 'failed'>, string>> = {
  started: 'build started',
  joined: 'request waits for build',
  resolved: 'packages resolved',
  realised: 'packages realised',
  planned: 'layers planned',
  packed: 'layer packed',
  finished: 'build finished',
}
