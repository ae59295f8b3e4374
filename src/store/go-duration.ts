// Nanoseconds in each unit of Go's time.ParseDuration.
const units = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 } as const

const duration = /^[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const part = /(?<amount>\d+\.?\d*|\.\d+)(?<unit>ns|us|µs|μs|ms|s|m|h)/g

/**
 * Parses a duration in Go's syntax, as in the original's configuration: `5m`, `1h30m`, `1.5s`.
 * @returns seconds, or undefined if the text is not a duration
 */
export function parseGoDuration(text: string): number | undefined {
  if (!duration.test(text)) return undefined
  let nanoseconds = 0
  for (const { groups } of text.matchAll(part)) {
    nanoseconds += Number(groups?.['amount']) * units[groups?.['unit'] as keyof typeof units]
  }
  return (text.startsWith('-') ? -nanoseconds : nanoseconds) / 1e9
}
