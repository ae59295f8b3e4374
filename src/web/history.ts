import type { BuildEvent, BuildListener } from '../builds/events.ts'
import type { ErrorCode } from '../errors.ts'
import { plainTexts, type PublicFailure, type PublicTexts } from '../text/public.ts'

type Event<Type extends BuildEvent['type']> = Omit<Extract<BuildEvent, { type: Type }>, 'type'>

/** One build. No text in it has control characters or anything that looks like a secret. */
export type BuildRecord = {
  readonly id: string
  readonly image: string
  /** The architecture of the image, such as `amd64`; missing for builds of an earlier version's front ends. */
  readonly platform?: string
  readonly state: 'running' | 'finished' | 'failed'
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** The duration, so far if the build is running. */
  readonly ms: number
  /** The number of pulls that wait or waited for it. */
  readonly pulls: number
  readonly resolved?: Event<'resolved'>
  readonly realised?: Event<'realised'>
  /** Bytes from binary caches. */
  readonly downloaded?: number
  /** The name of the store path that came last from a binary cache. */
  readonly arrived?: string
  readonly planned?: Event<'planned'>
  /** Layers packed by this build. */
  readonly layers: readonly Event<'packed'>[]
  readonly digest?: string
  readonly failure?: PublicFailure
  readonly warnings: readonly string[]
  /** The last lines that Nix printed, and how many earlier ones were dropped. */
  readonly lines: readonly string[]
  readonly forgottenLines: number
}

/** Recent builds, in memory: lost when the server stops. */
export type History = {
  readonly listener: BuildListener
  /** Newest first. */
  recent(): readonly BuildRecord[]
  find(build: string): BuildRecord | undefined
  /** Resolves with the next event of a running build, and at once for any other. */
  changed(build: string): Promise<void>
}

export type HistoryOptions = {
  /** The maximum number of builds. */
  readonly builds: number
  /** The maximum number of Nix's lines for each build. */
  readonly linesPerBuild: number
  /** Filters texts; only what may be shown enters the history. */
  readonly texts?: PublicTexts
  readonly now?: () => number
}

// The limits for each build: the total length of its lines (UTF-16 units), its warnings, and its layers.
const textPerBuild = 100_000
const mostWarnings = 50
const mostLayers = 200

type MutableRecord = { -readonly [Key in keyof BuildRecord]: BuildRecord[Key] } & {
  layers: Event<'packed'>[]
  warnings: string[]
  lines: string[]
  textLength: number
  readonly showLine: (line: string) => string | undefined
}

export function createHistory({
  builds,
  linesPerBuild,
  texts = plainTexts,
  now = Date.now,
}: HistoryOptions): History {
  const records = new Map<string, MutableRecord>() // in the order of their start
  const waiting = new Map<string, PromiseWithResolvers<void>>()
  const snapshot = ({ ...build }: MutableRecord): BuildRecord =>
    build.state === 'running' ? { ...build, ms: now() - build.startedAt } : build

  return {
    listener(id, event) {
      if (event.type === 'started') {
        records.set(id, newRecord(id, event, now(), texts.lines()))
        if (records.size > builds)
          records.delete(leastWorth([...records.values()].filter((each) => each.id !== id)))
      }
      const build = records.get(id) // undefined if it has been replaced by later builds
      if (build) take(build, event, linesPerBuild, texts)
      waiting.get(id)?.resolve()
      waiting.delete(id)
    },
    recent: () => [...records.values()].reverse().map(snapshot),
    changed(id) {
      if (records.get(id)?.state !== 'running') return Promise.resolve()
      const next = waiting.get(id) ?? Promise.withResolvers<void>()
      waiting.set(id, next)
      return next.promise
    },
    find(id) {
      const build = records.get(id)
      return build && snapshot(build)
    },
  }
}

const newRecord = (
  id: string,
  { image, platform }: Event<'started'>,
  startedAt: number,
  showLine: MutableRecord['showLine'],
): MutableRecord => ({
  id,
  image,
  ...(platform !== undefined && { platform }),
  startedAt,
  state: 'running',
  ms: 0,
  pulls: 0,
  layers: [],
  warnings: [],
  lines: [],
  forgottenLines: 0,
  textLength: 0,
  showLine,
})

function take(build: MutableRecord, event: BuildEvent, linesPerBuild: number, texts: PublicTexts): void {
  switch (event.type) {
    case 'started':
    case 'evaluating':
      return
    case 'joined':
      build.pulls += 1
      return
    case 'resolved':
      build.resolved = { ...event, packages: event.packages.map(texts.text) }
      return
    case 'realised':
      build.realised = event
      return
    case 'downloading':
      build.downloaded = event.bytes
      return
    case 'downloaded':
      build.arrived = texts.text(event.path.replace(/^.*\/[0-9a-z]{32}-/, ''))
      return
    case 'planned':
      build.planned = event
      return
    case 'packed':
      if (build.layers.length < mostLayers) build.layers.push(event)
      return
    case 'warning':
      if (build.warnings.length < mostWarnings) build.warnings.push(texts.text(event.message))
      return
    case 'nix': {
      const line = build.showLine(event.line)
      return line === undefined ? undefined : addLine(build, line, linesPerBuild)
    }
    case 'finished':
      Object.assign(build, { state: 'finished', ms: event.ms, digest: event.digest })
      return
    case 'failed':
      Object.assign(build, { state: 'failed', ms: event.ms, failure: failureOf(event.error, texts) })
  }
}

function addLine(build: MutableRecord, line: string, linesPerBuild: number): void {
  build.lines.push(line)
  build.textLength += line.length
  while (build.lines.length > linesPerBuild || build.textLength > textPerBuild) {
    build.textLength -= build.lines.shift()?.length ?? 0
    build.forgottenLines += 1
  }
}

function failureOf(error: unknown, texts: PublicTexts): PublicFailure {
  const failure = texts.failure(error)
  return failure.code === undefined
    ? { ...failure, message: 'internal error; see the server’s log' }
    : failure
}

// Failures that say nothing about the packages, such as a misspelled name or a cancelled pull.
const passing: ReadonlySet<ErrorCode | undefined> = new Set([
  'PACKAGE_UNKNOWN',
  'PACKAGE_DENIED',
  'RECIPE_UNKNOWN',
  'CANCELLED',
])

/**
 * Selects the build to forget. Most pulls find everything cached, and anyone can request names that do not exist: such
 * builds are forgotten first, so that they do not displace more interesting ones. Next are the oldest successes or
 * failures, whichever are more numerous; a running build only if there is nothing else.
 */
function leastWorth(kept: readonly MutableRecord[]): string {
  const dull = kept.find(({ failure, state, realised }) =>
    failure ? passing.has(failure.code) : state === 'finished' && !realised,
  )
  const failed = kept.filter(({ state }) => state === 'failed')
  const finished = kept.filter(({ state }) => state === 'finished')
  const most = failed.length > finished.length ? failed : finished
  return (dull ?? most[0] ?? kept[0])?.id ?? ''
}
