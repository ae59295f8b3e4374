import { pino, type Logger, type LoggerOptions } from 'pino'
import pretty from 'pino-pretty'
import type { BuildEvent, BuildListener } from '../builds/events.ts'
import type { AccessLogEntry } from '../http/access-log.ts'
import { redactJsonLine, type Redactor } from '../text/redact.ts'
import { createAccessLines, now, rounded } from './access-lines.ts'
import { errorFacts, isOrdinary } from './error-facts.ts'
import { createLines } from './lines.ts'

export type { Logger } from 'pino'

/** The format of log lines: levels are words, no line contains a secret, and only bugs have a stack. */
export const logOptions = (level: string, redactor: Redactor): LoggerOptions => ({
  level,
  base: null,
  formatters: { level: (word) => ({ level: word }) },
  serializers: { err: errorFacts },
  timestamp: () => `,"time":"${now()}"`,
  hooks: { streamWrite: (line) => redactJsonLine(line, redactor) },
})

/**
 * JSON lines on standard output, or lines for people if that is a terminal.
 * @param redactor removes secrets from each line, whatever its source
 */
export function createLog(level: string, redactor: Redactor): Logger {
  const options = logOptions(level, redactor)
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

/**
 * JSON escapes only control characters below U+0020, but terminals also interpret others (U+009B starts a sequence).
 */
const printed = (text: string): string =>
  text.replace(/[\x7f-\x9f]/g, (one) => `\\x${one.charCodeAt(0).toString(16)}`)

// The maximum length of a path or User-Agent in the log: names are shorter, and strangers can send kilobytes.
export const longestShown = 1_000

/**
 * Prepares a text from a client for the log. Secrets are hidden before the text is truncated, because a truncated
 * secret may not be recognized.
 */
function bounded(text: string, redactor: Redactor): string {
  if (text.length <= longestShown) return printed(text)
  return `${printed(redactor.text(text).slice(0, longestShown))}…`
}

/** Writes a line for each request. */
export function logAccess(log: Logger, redactor: Redactor): (entry: AccessLogEntry) => void {
  const writeQuickly = createAccessLines(log, redactor)
  return (entry) => {
    if (writeQuickly(entry)) return
    const { id, error, ms, ...rest } = entry
    const sent = {
      path: bounded(rest.path, redactor),
      userAgent: rest.userAgent && bounded(rest.userAgent, redactor),
    }
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
}

/** Writes a line for each event of a build. */
export function logBuilds(log: Logger, redactor: Redactor): BuildListener {
  const running = new Map<string, (line: string) => string | undefined>()
  return (build, event) => {
    if (event.type === 'started') running.set(build, createBuildLines(redactor))
    if (event.type === 'finished' || event.type === 'failed') running.delete(build)
    const { type, ...facts } = event
    const line = { build, ...facts, ...('ms' in facts && { ms: rounded(facts.ms) }) }
    if (type === 'warning') log.warn({ build }, event.message)
    else if (type === 'nix') {
      const shown = running.get(build)?.(event.line)
      if (shown !== undefined) log.info({ build }, `nix: ${shown}`)
    } else if (type === 'downloading') return // each path has a line of its own
    else if (type !== 'failed') log.info(line, words[type])
    else if (isOrdinary(event.error))
      log.info({ build, ms: rounded(event.ms), err: event.error }, 'build failed')
    else log.error({ build, ms: rounded(event.ms), err: event.error }, 'build failed')
  }
}

const words: Readonly<
  Record<Exclude<BuildEvent['type'], 'warning' | 'nix' | 'downloading' | 'failed'>, string>
> = {
  started: 'build started',
  joined: 'request waits for build',
  evaluating: 'names are looked up',
  resolved: 'packages resolved',
  realised: 'packages realised',
  downloaded: 'path downloaded',
  planned: 'layers planned',
  packed: 'layer packed',
  finished: 'build finished',
}

/** The maximum number of log lines of one build, and their total length in UTF-16 units. */
export const mostLines = 5_000
export const mostText = 1_000_000

/**
 * Prepares the lines of one build for the log: without secrets, and limited, because a builder may print gigabytes. One
 * line reports that further lines are omitted.
 * @returns a function for the lines in order, which returns undefined for an omitted line
 */
function createBuildLines(redactor: Redactor): (line: string) => string | undefined {
  const redact = redactor.lines()
  let lines = 0
  let text = 0
  return (line) => {
    if (lines > mostLines) return undefined
    const shown = redact(line)
    lines += 1
    text += shown.length
    if (lines <= mostLines && text <= mostText) return shown
    lines = mostLines + 1
    return `further output of this build is omitted, after ${mostLines} lines or ${mostText} characters`
  }
}
