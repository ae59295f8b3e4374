import { Gauge, type Registry } from 'prom-client'
import { countWhenRead, type Samples } from './tally.ts'

/** Numbers that other parts keep, read when metrics are read. */
export type ServerStats = {
  /** Of the server: connections, requests at work, and what came and was no HTTP. */
  readonly traffic: () => {
    readonly connections: number
    readonly requests: number
    readonly malformed: number
    readonly slow: number
  }
  /** Builds that wait for Nix or for packing. */
  readonly builds: {
    readonly queued: number
    /** The same by urgency; undefined if other processes build. */
    readonly queuedBy: () => Readonly<Record<string, number>> | undefined
  }
  /** Blobs that are being sent, and requests for more that were refused. */
  readonly streams: { readonly active: number; readonly refused: number }
  /** Of Nix: processes that have packages loaded, and evaluations that one of them answered, or none. */
  readonly evaluators: () => {
    readonly processes: readonly { readonly memory: number; readonly idle: number }[]
    readonly warm: number
    readonly cold: number
    readonly started: number
    readonly restarted: number
  }
}

type Row = readonly [name: string, help: string, labelNames: string[], read: (stats: ServerStats) => Samples]

const one = (value: number): Samples => [[[], value]]

const counters: readonly Row[] = [
  [
    'nixery_malformed_total',
    'What came and was no HTTP request in time.',
    [],
    ({ traffic }) => one(traffic().malformed),
  ],
  [
    'nixery_slow_readers_total',
    'Answers that were cut off because their readers were too slow.',
    [],
    ({ traffic }) => one(traffic().slow),
  ],
  [
    'nixery_streams_refused_total',
    'Requests for blobs that were refused because of the limits.',
    [],
    ({ streams }) => one(streams.refused),
  ],
  [
    'nixery_evaluations_total',
    'Evaluations, by a process that had the packages loaded or a new one.',
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
    'Evaluators that were started.',
    [],
    ({ evaluators }) => one(evaluators().started),
  ],
  [
    'nixery_evaluators_restarted_total',
    'Evaluators that replaced one that died, timed out, or grew too large.',
    [],
    ({ evaluators }) => one(evaluators().restarted),
  ],
]

const gauges: readonly Row[] = [
  [
    'nixery_requests_running',
    'Requests that are being answered, or wait for a build.',
    [],
    ({ traffic }) => one(traffic().requests),
  ],
  [
    'nixery_builds_queued',
    'Builds that wait for Nix or for packing.',
    [],
    ({ builds }) => one(builds.queued),
  ],
  [
    'nixery_builds_queued_by_urgency',
    'The same by urgency: waiting, for a client that is connected; expected, for one that was told to retry; background.',
    ['urgency'],
    ({ builds }) => Object.entries(builds.queuedBy() ?? {}).map(([urgency, count]) => [[urgency], count]),
  ],
  ['nixery_connections', 'Connections that are open.', [], ({ traffic }) => one(traffic().connections)],
  ['nixery_streams', 'Blobs that are being sent.', [], ({ streams }) => one(streams.active)],
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
    'nixery_evaluators_memory_bytes',
    'Memory of these processes.',
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
}
