import { Gauge, type Registry } from 'prom-client'
import { countWhenRead, type Samples } from './tally.ts'

/** Numbers of other components, collected when metrics are read. */
export type ServerStats = {
  /** Of the server: connections, active requests, and input that was not HTTP. */
  readonly traffic: () => {
    readonly connections: number
    readonly requests: number
    readonly malformed: number
    readonly slow: number
  }
  /** Builds waiting for Nix or for packing. */
  readonly builds: {
    readonly queued: number
    /** The same by urgency. */
    readonly queuedBy: () => Readonly<Record<string, number>>
  }
  /** Blobs being sent, and refused requests for blobs. */
  readonly streams: { readonly active: number; readonly refused: number }
  /** Of Nix: processes with packages loaded, and evaluations with and without them. */
  readonly evaluators: () => {
    readonly processes: readonly { readonly memory: number; readonly idle: number }[]
    readonly warm: number
    readonly cold: number
    readonly started: number
    readonly restarted: number
  }
  /** How old the package sets are, in seconds; the only one has no name. */
  readonly revisions: () => readonly { readonly set: string | undefined; readonly seconds: number }[]
  /** The last scrub, by whatever process; undefined if there was none, or if it is unknown. */
  readonly scrub: () => Promise<ScrubResult | undefined>
}

/** The result of a scrub. `at` is in seconds since 1970, the size in bytes. */
export type ScrubResult = {
  readonly at: number
  readonly checked: number
  readonly size: number
  readonly damaged: number
}

type Row = readonly [name: string, help: string, labelNames: string[], read: (stats: ServerStats) => Samples]

const one = (value: number): Samples => [[[], value]]

const counters: readonly Row[] = [
  [
    'nixery_malformed_total',
    'Connections without a valid HTTP request in time.',
    [],
    ({ traffic }) => one(traffic().malformed),
  ],
  [
    'nixery_slow_readers_total',
    'Responses aborted because the client read too slowly.',
    [],
    ({ traffic }) => one(traffic().slow),
  ],
  [
    'nixery_streams_refused_total',
    'Requests for blobs refused because of limits.',
    [],
    ({ streams }) => one(streams.refused),
  ],
  [
    'nixery_evaluations_total',
    'Evaluations, by a process with the packages loaded or a new one.',
    ['how'],
    ({ evaluators }) => {
      const { warm, cold } = evaluators()
      return [
        [['warm'], warm],
        [['cold'], cold],
      ]
    },
  ],
  [
    'nixery_evaluators_started_total',
    'Started evaluators.',
    [],
    ({ evaluators }) => one(evaluators().started),
  ],
  [
    'nixery_evaluators_restarted_total',
    'Evaluators that replaced one that exited, timed out, or grew too large.',
    [],
    ({ evaluators }) => one(evaluators().restarted),
  ],
]

const gauges: readonly Row[] = [
  [
    'nixery_requests_running',
    'Requests being answered or waiting for a build.',
    [],
    ({ traffic }) => one(traffic().requests),
  ],
  ['nixery_builds_queued', 'Builds waiting for Nix or for packing.', [], ({ builds }) => one(builds.queued)],
  [
    'nixery_builds_queued_by_urgency',
    'Builds waiting for Nix or for packing, by urgency: waiting (a client is connected), expected (a client got a retry response), background.',
    ['urgency'],
    ({ builds }) => Object.entries(builds.queuedBy()).map(([urgency, count]) => [[urgency], count]),
  ],
  ['nixery_connections', 'Open connections.', [], ({ traffic }) => one(traffic().connections)],
  ['nixery_streams', 'Blobs being sent.', [], ({ streams }) => one(streams.active)],
  [
    'nixery_evaluators',
    'Nix processes with packages loaded.',
    ['state'],
    ({ evaluators }) => {
      const { processes } = evaluators()
      const busy = processes.filter(({ idle }) => idle === 0).length
      return [
        [['busy'], busy],
        [['idle'], processes.length - busy],
      ]
    },
  ],
  [
    'nixery_package_revision_age_seconds',
    'Seconds since the commit that a package set is at, or since this process first saw its revision if it is not a commit.',
    ['set'],
    ({ revisions }) => revisions().map(({ set = '', seconds }) => [[set], seconds]),
  ],
  [
    'nixery_evaluators_memory_bytes',
    'Memory of Nix processes with packages loaded, in bytes.',
    [],
    ({ evaluators }) => one(evaluators().processes.reduce((sum, { memory }) => sum + memory, 0)),
  ],
]

/** Adds these numbers to the metrics. */
export function registerServerStats(registry: Registry, stats: ServerStats): void {
  for (const [name, help, labelNames, read] of counters)
    countWhenRead(registry, name, help, labelNames, () => read(stats))
  for (const [name, help, labelNames, read] of gauges) {
    void new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        for (const [labels, value] of read(stats)) this.labels(...labels).set(value)
      },
    })
  }
  for (const [name, help, read] of ofScrubs) {
    void new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const last = await stats.scrub()
        if (last) this.set(read(last))
        else this.remove()
      },
    })
  }
}

const ofScrubs: readonly (readonly [name: string, help: string, read: (last: ScrubResult) => number])[] = [
  ['nixery_scrub_timestamp_seconds', 'When the last scrub ended.', ({ at }) => at],
  ['nixery_scrub_checked_blobs', 'Blobs that the last scrub read.', ({ checked }) => checked],
  ['nixery_scrub_checked_bytes', 'Bytes that the last scrub read.', ({ size }) => size],
  ['nixery_scrub_damaged_blobs', 'Damaged blobs that the last scrub found.', ({ damaged }) => damaged],
]
