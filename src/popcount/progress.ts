import type { Tally } from './count.ts'

/** Where progress is shown: standard error, or a test's stand-in for it. */
export type ProgressStream = {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Progress of reading narinfos. */
export type Progress = {
  readonly update: (tally: Readonly<Tally>, total: number) => void
  /** Writes a line that stays, above the bar if there is one. */
  readonly line: (text: string) => void
  /** Ends the bar; to be called whatever happens. */
  readonly stop: () => void
}

const barInterval = 200
const lineInterval = 5_000
/** Milliseconds that the rate is taken over: what was on disk at the start says nothing of the network. */
const rateWindow = 15_000

/** A bar on a terminal, drawn in place; elsewhere a line every five seconds. */
export function createProgress(stream: ProgressStream, now: () => number = Date.now): Progress {
  const isTerminal = stream.isTTY === true
  const samples: { at: number; done: number }[] = [{ at: now(), done: 0 }]
  let latest: { tally: Readonly<Tally>; total: number } | undefined

  const draw = () => {
    if (!latest) return
    const { tally, total } = latest
    const done = doneOf(tally)
    samples.push({ at: now(), done })
    while (samples.length > 2 && now() - (samples[0]?.at ?? 0) > rateWindow) samples.shift()
    const facts = { done, total, rate: rateOf(samples), unread: done - tally.kept - tally.fetched }
    if (isTerminal) stream.write(`\r\u001b[2K${bar(facts, (stream.columns ?? 80) - 1)}`)
    else stream.write(`${words(facts)}\n`)
  }
  const timer = setInterval(draw, isTerminal ? barInterval : lineInterval)

  return {
    update(tally, total) {
      latest = { tally, total }
    },
    line(text) {
      stream.write(isTerminal && latest ? `\r\u001b[2K${text}\n` : `${text}\n`)
    },
    stop() {
      clearInterval(timer)
      if (!isTerminal || !latest) return
      draw()
      stream.write('\n')
    },
  }
}

const doneOf = (tally: Readonly<Tally>): number => Object.values(tally).reduce((sum, count) => sum + count, 0)

function rateOf(samples: readonly { at: number; done: number }[]): number {
  const [first, last] = [samples[0], samples.at(-1)]
  if (!first || !last || last.at <= first.at) return 0
  return ((last.done - first.done) * 1000) / (last.at - first.at)
}

type Facts = { done: number; total: number; rate: number; unread: number }

export function bar(facts: Facts, columns: number): string {
  const text = ` ${words(facts)}`
  const width = Math.min(40, columns - text.length - 2)
  if (width < 5) return text.trim().slice(0, Math.max(columns, 0))
  const filled = Math.floor((width * facts.done) / Math.max(facts.total, 1))
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]${text}`
}

export function words({ done, total, rate, unread }: Facts): string {
  const percent = Math.floor((100 * done) / Math.max(total, 1))
  const left = rate > 0 ? `, ${duration((total - done) / rate)} left` : ''
  const lost = unread > 0 ? `, ${unread} not read` : ''
  return `${done} of ${total} narinfos (${percent}%), ${Math.round(rate)}/s${left}${lost}`
}

/** Seconds for people: `42s`, `3m 07s`, `2h 05m`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`
}
