/** Receives each line of output; `builder` is the derivation whose builder printed it, undefined for Nix itself. */
export type TakeLine = (line: string, builder: string | undefined) => void

/** The maximum length of a line of Nix's log in UTF-16 units: a builder's line, with room for JSON escapes. */
export const maxEventLength = 40_000

// From Nix's `logging.hh`.
const build = 105
const logLine = 101
const postBuildLogLine = 107
const mostVerbose = 3 // lvlInfo, Nix's default

type Event = {
  readonly action?: unknown
  readonly id?: unknown
  readonly type?: unknown
  readonly level?: unknown
  readonly text?: unknown
  readonly msg?: unknown
  readonly fields?: unknown
}

/**
 * Reads the output of Nix with `--log-format internal-json`, and passes on the lines that Nix would print without it.
 * Only this format tells which of several builders printed a line.
 * @returns a function for the lines of standard error, in order
 */
export function createEventReader(take: TakeLine): (raw: string) => void {
  const builders = new Map<unknown, string>() // by activity
  const say = (text: unknown, builder?: string) => {
    if (typeof text !== 'string' || text === '') return
    for (const line of text.split('\n')) take(line, builder)
  }
  return (raw) => {
    if (!raw.startsWith('@nix ')) return take(raw, undefined)
    const event = parse(raw)
    if (!event) return say(beginningOf(raw))
    const { action, id, type, level, fields } = event
    const [first] = Array.isArray(fields) ? (fields as unknown[]) : []
    const shown = typeof level === 'number' && level <= mostVerbose
    if (action === 'start') {
      if (type === build && typeof first === 'string') builders.set(id, first)
      if (shown) say(event.text)
    } else if (action === 'stop') builders.delete(id)
    else if (action === 'msg' && shown) say(event.msg)
    // Empty lines of a builder count, too.
    else if (action === 'result' && type === logLine)
      take(typeof first === 'string' ? first : '', builders.get(id))
    else if (action === 'result' && type === postBuildLogLine) say(first)
  }
}

function parse(raw: string): Event | undefined {
  try {
    const event: unknown = JSON.parse(raw.slice('@nix '.length))
    return event !== null && typeof event === 'object' ? event : undefined
  } catch {
    return undefined
  }
}

/** The readable part of a truncated event: a builder printed a very long line. */
function beginningOf(raw: string): string | undefined {
  const text = /^@nix \{"action":"result","fields":\["(?<text>[^"\\]*)/.exec(raw)?.groups?.['text']
  return text?.slice(0, 10_000)
}
