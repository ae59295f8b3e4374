import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { BuildListener } from '../builds/events.ts'
import { isNixeryError } from '../errors.ts'
import type { AccessLogEntry } from '../http/access-log.ts'
import { registerCleanups, type Cleanup } from './cleanup-stats.ts'
import { registerDiskStats, type DiskPlaces } from './disk-stats.ts'
import { registerServerStats, type ServerStats } from './server-stats.ts'
import { tallied, type Cell } from './tally.ts'

export type Metrics = {
  readonly onBuild: BuildListener
  readonly onRequest: (entry: AccessLogEntry) => void
  /** Counts cache hits. */
  readonly hit: (kind: HitKind, count?: number) => void
  /** Adds the numbers of other components; call it once. */
  readonly watch: (stats: ServerStats) => void
  /** Counts a cleanup. */
  readonly onCleanup: (cleanup: Cleanup) => void
  readonly read: () => Promise<{ readonly contentType: string; readonly text: string }>
}

/** The kinds of cached data. */
export type HitKind = 'image' | 'resolution' | 'layer' | 'member'

/** The counters for requests of one kind and method. */
type RequestCells = {
  /** By the first digit of the status. */
  readonly byClass: (Cell | undefined)[]
  readonly bytes: Cell
}

// From a layer of a few files to a build of an hour.
const seconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600]

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * The metrics of a server, in the Prometheus text format. Labels have few values, which come from this program or the
 * operator, never from clients. A request costs 0.1 µs; the rest is done when metrics are read.
 */
export function createMetrics(version: string, disk?: DiskPlaces): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  if (disk) registerDiskStats(registry, disk)
  const onCleanup = registerCleanups(registry)
  const info = new Gauge({
    name: 'nixery_info',
    help: 'The running version.',
    labelNames: ['version'],
    registers,
  })
  info.set({ version }, 1)

  const counter = (name: string, help: string, ...labels: string[]) => tallied(registry, name, help, labels)
  const requests = counter('nixery_requests_total', 'Answered requests.', 'kind', 'method', 'status')
  const bytes = counter('nixery_sent_bytes_total', 'Bytes of bodies sent to clients.', 'kind')
  const builds = counter('nixery_builds_total', 'Finished builds.', 'result', 'code')
  const ofSets = counter('nixery_set_builds_total', 'Builds by package set, if there are several.', 'set')
  const hits = counter('nixery_hits_total', 'Cache hits by kind.', 'kind')
  const misses = counter('nixery_misses_total', 'Cache misses.', 'kind')
  const ofCache = (name: string, help: string) => counter(`nixery_cache_${name}`, help, 'cache')
  const cacheHits = ofCache('hits_total', 'Store paths downloaded from a binary cache.')
  const cacheBytes = ofCache('received_bytes_total', 'Bytes of store paths downloaded from a binary cache.')
  const cacheSeconds = ofCache('seconds_total', 'Seconds spent downloading store paths from a binary cache.')
  const cacheFailures = ofCache('failures_total', 'Failures of a binary cache.')
  const running = new Gauge({ name: 'nixery_builds_running', help: 'Running builds.', registers })
  const stages = new Histogram({
    name: 'nixery_build_stage_seconds',
    help: 'Duration of the parts of builds: evaluate, realise, find (paths in binary caches), pack (a layer), whole (a build).',
    labelNames: ['stage'],
    buckets: seconds,
    registers,
  })

  const took = (stage: string, ms: number) => stages.observe({ stage }, ms / 1000)
  const reused = (kind: HitKind, of: number, made: number) => {
    hits.add([kind], of - made)
    misses.add([kind], made)
  }
  const ended = (result: string, code: string, ms: number) => {
    running.dec()
    builds.add([result, code], 1)
    took('whole', ms)
  }

  // Two lookups by known words, without building a key.
  const requestCells = new Map<string, Map<string, RequestCells>>()
  const cellsOf = (kind: string, method: string): RequestCells => {
    const ofKind = requestCells.get(kind) ?? new Map<string, RequestCells>()
    requestCells.set(kind, ofKind)
    const known = ofKind.get(method)
    if (known) return known
    const made: RequestCells = { byClass: [], bytes: bytes.cell([kind]) }
    ofKind.set(method, made)
    return made
  }

  return {
    onBuild(_build, event) {
      switch (event.type) {
        case 'started':
          running.inc()
          break
        case 'resolved':
          reused('resolution', event.names, event.evaluated)
          if (event.evaluated > 0) took('evaluate', event.ms)
          if (event.set !== undefined) ofSets.add([event.set], 1)
          break
        case 'realised':
          took(event.origin === 'caches' ? 'find' : 'realise', event.ms)
          break
        case 'planned':
          reused('layer', event.layers, event.layers - event.known)
          break
        case 'packed':
          reused('member', event.paths, event.paths - event.copied)
          took('pack', event.ms)
          break
        case 'finished':
          ended('finished', '', event.ms)
          break
        case 'failed': {
          const code = isNixeryError(event.error) ? event.error.code : 'UNKNOWN'
          ended(code === 'CANCELLED' ? 'cancelled' : 'failed', code, event.ms)
          break
        }
        case 'downloaded':
          cacheHits.add([event.cache], 1)
          cacheBytes.add([event.cache], event.bytes)
          cacheSeconds.add([event.cache], event.ms / 1000)
          break
        case 'warning':
          if (event.cache !== undefined) cacheFailures.add([event.cache], 1)
          break
        case 'joined':
        case 'evaluating':
        case 'downloading':
        case 'nix':
          break // for display only
        default: // events added later
      }
    },
    onRequest({ kind, method, status, bytes: sent }) {
      const known = methods.has(method) ? method : 'other'
      const cells = cellsOf(kind, known)
      const statusClass = Math.floor(status / 100)
      const cell = (cells.byClass[statusClass] ??= requests.cell([kind, known, `${statusClass}xx`]))
      cell.count += 1
      cells.bytes.count += sent
    },
    onCleanup,
    hit: (kind, count = 1) => hits.add([kind], count),
    watch: (stats) => registerServerStats(registry, stats),
    async read() {
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}
