import type { BuildEvent, BuildListener } from '../builds/events.ts'
import { isNixeryError } from '../errors.ts'
import { readingText, type ReadingProgress } from '../popcount/progress.ts'
import type { PushEvent } from '../push/push.ts'
import { secretsOf } from '../config/secrets.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { jsonLine } from '../text/json-line.ts'
import { plainText } from '../text/plain.ts'
import { createRedactor, mapTexts, wholeLines } from '../text/redact.ts'
import { createSpinner, isTerminal } from './spinner.ts'

/**
 * What a command is doing. Bytes in transit (`moved`) are shown on a terminal only. `reading` is sent thousands of times
 * and may last an hour; without a terminal, it is shown every few seconds.
 */
export type ProgressEvent =
  | Exclude<BuildEvent, { type: 'joined' | 'failed' }>
  | { readonly type: 'note'; readonly message: string }
  | { readonly type: 'folders'; readonly data: string; readonly blobs: string }
  | { readonly type: 'writing'; readonly output: string; readonly bytes: number }
  | { readonly type: 'moved'; readonly verb: string; readonly done: number; readonly total: number }
  | ({ readonly type: 'reading' } & ReadingProgress)
  | { readonly type: 'pushing'; readonly to: string; readonly bytes: number }
  | Exclude<PushEvent, { type: 'sent' }>

/** Shows progress on standard error: as a line that changes, as plain lines, or as JSON lines. */
export type Progress = {
  readonly build: BuildListener
  readonly emit: (event: ProgressEvent) => void
  readonly note: (line: string) => void
  /** Prints a summary for people. */
  readonly done: (summary: string) => void
  readonly fail: (error: unknown, exitCode: number) => void
}

// Milliseconds between lines about reading, without a terminal.
const readingInterval = 5_000

/**
 * @param options.json print one JSON object per line
 * @param options.quiet print only warnings and errors
 */
export function createProgress({ json, quiet = false }: { json: boolean; quiet?: boolean }): Progress {
  const out = process.stderr
  const redactor = createRedactor(secretsOf(process.env), wholeLines)
  const hideInLine = redactor.lines()
  const facts = (value: unknown) => jsonLine(mapTexts(value, redactor.text))
  const write = (line: string) => void out.write(`${line}\n`)
  const spinner =
    !json && !quiet && isTerminal(out, process.env) ? createSpinner(out, process.env) : undefined
  const packing = { layers: 0, total: 0, bytes: 0 }

  let readingShown = performance.now()

  const emit = (event: ProgressEvent) => {
    if (quiet && !loud.has(event.type)) return
    if (event.type === 'reading' && !spinner) {
      if (performance.now() - readingShown < readingInterval) return
      readingShown = performance.now()
    }
    // A command may build several images, one after another.
    if (event.type === 'planned')
      Object.assign(packing, { layers: 0, total: event.layers - event.known, bytes: 0 })
    if (event.type === 'packed') {
      packing.layers += 1
      packing.bytes += event.size
    }
    if (json) return event.type === 'moved' ? undefined : write(facts(event))
    const line = hideInLine(plainText(lineOf(event, packing)))
    if (!spinner) return line === '' || event.type === 'moved' ? undefined : write(line)
    if (['note', 'folders', 'warning', 'retry'].includes(event.type)) spinner.above(line)
    else if (event.type === 'moved' || event.type === 'reading') spinner.showSoon(line)
    // While many blobs are sent, the total progress says more than each finished blob.
    else if (event.type !== 'blob') spinner.show(line)
  }
  return {
    build: (_, event) => {
      if (event.type !== 'joined' && event.type !== 'failed') emit(event)
    },
    emit,
    note: (message) => emit({ type: 'note', message }),
    done(summary) {
      spinner?.stop()
      if (!json && !quiet) write(plainText(summary))
    },
    fail(error, exitCode) {
      spinner?.stop()
      if (!json) return write(redactor.text(plainText(failureText(error))))
      write(facts({ type: 'error', exitCode, ...failureFacts(error) }))
    },
  }
}

/** What is also printed with --quiet. Notes are about settings that have no effect. */
const loud: ReadonlySet<ProgressEvent['type']> = new Set(['warning', 'note'])

type Packing = { readonly layers: number; readonly total: number; readonly bytes: number }

function lineOf(event: ProgressEvent, packing: Packing): string {
  switch (event.type) {
    case 'started':
      return `building ${event.image}`
    case 'evaluating':
      return `looking up ${counted(event.names, 'name')}`
    case 'resolved':
      return `${counted(event.packages.length, 'package')}: ${event.packages.map((name) => name.trim()).join(', ')}`
    case 'nix':
      return event.line.trim() === '' ? '' : `nix: ${event.line}`
    case 'realised':
      return `${counted(event.paths, 'store path')}, ${bytesText(event.narBytes)}`
    case 'downloading':
      return `${bytesText(event.bytes)} from binary caches`
    case 'downloaded':
      return `${event.path} from ${event.cache}, ${bytesText(event.bytes)}`
    case 'planned':
      return `${counted(event.layers, 'layer')}, ${event.known} of them already packed`
    case 'packed':
      return `packed layer ${packing.layers} of ${packing.total}, ${bytesText(packing.bytes)} in all`
    case 'finished':
      return `built ${event.digest}`
    case 'writing':
      return `writing ${bytesText(event.bytes)} to ${event.output}`
    case 'pushing':
      return `pushing ${bytesText(event.bytes)} to ${event.to}`
    case 'blob':
      return `${event.digest} ${arrivals[event.arrival]}, ${bytesText(event.size)}`
    case 'retry':
      return `${event.message}: retrying`
    case 'reading':
      return readingText(event)
    case 'folders':
      return `data in ${event.data}, blobs in ${event.blobs}`
    case 'warning':
    case 'note':
      return event.message
    case 'moved':
      return `${bytesText(event.done)} of ${bytesText(event.total)} ${event.verb}`
  }
}

const arrivals = { present: 'is there', mounted: 'was mounted', uploaded: 'was uploaded' } as const

function failureText(error: unknown): string {
  if (!isNixeryError(error)) {
    return `nixery: internal error (please report this bug):\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
  }
  return `nixery: ${error.message}${error.hint === undefined ? '' : `\n  ${error.hint}`}`
}

function failureFacts(error: unknown): Record<string, unknown> {
  if (!isNixeryError(error)) return { code: 'BUG', message: String(error) }
  const { code, message, hint, detail } = error
  return { code, message, hint, detail }
}
