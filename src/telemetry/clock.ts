let at = 0
let text = ''

/** The time for log lines (`2026-07-30T12:03:22.123Z`), formatted at most once per millisecond. */
export function now(): string {
  const ms = Date.now()
  if (ms !== at) {
    at = ms
    text = new Date(ms).toISOString()
  }
  return text
}
