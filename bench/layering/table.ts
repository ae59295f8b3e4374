import type { Half, Trace } from './simulation.ts'

/** The cost of one layering over several traces, both halves relative to the floor. */
export type Cost = {
  readonly layering: string
  readonly first: HalfCost
  readonly again: HalfCost
  /** Layers of an image including its rootfs: mean and maximum. */
  readonly layers: number
  readonly mostLayers: number
}

export type HalfCost = {
  /** Bytes fetched, as a multiple of the floor: over all traces, and in the worst one. */
  readonly timesFloor: number
  readonly worst: number
  /** Bytes fetched per trace, on average. */
  readonly bytes: number
  /** Layers fetched per trace, on average. */
  readonly requests: number
  /** The leading layers that an image shares with the previous one: as a share of its layers and of its bytes. */
  readonly prefixLayers: number
  readonly prefixBytes: number
}

/**
 * Sums up the traces of several seeds.
 * @param floor the name of the layering that the others are compared with
 */
export function costsOf<Name extends string>(traces: readonly Record<Name, Trace>[], floor: Name): Cost[] {
  const names = Object.keys(traces[0] ?? {}) as Name[]
  return names.map((layering) => {
    const half = (which: keyof Trace): HalfCost =>
      halfCost(
        traces.map((trace) => trace[layering][which]),
        traces.map((trace) => trace[floor][which]),
      )
    const halves = traces.flatMap((trace) => [trace[layering].first, trace[layering].again])
    return {
      layering,
      first: half('first'),
      again: half('again'),
      layers: sumOf(halves, 'layers') / sumOf(halves, 'images') + 1,
      mostLayers: Math.max(...halves.map(({ mostLayers }) => mostLayers)) + 1,
    }
  })
}

const halfCost = (own: readonly Half[], floor: readonly Half[]): HalfCost => ({
  timesFloor: sumOf(own, 'bytes') / sumOf(floor, 'bytes'),
  worst: Math.max(...own.map(({ bytes }, index) => bytes / (floor[index]?.bytes ?? NaN))),
  bytes: sumOf(own, 'bytes') / own.length,
  requests: sumOf(own, 'requests') / own.length,
  prefixLayers: sumOf(own, 'prefixLayers') / sumOf(own, 'layers'),
  prefixBytes: sumOf(own, 'prefixBytes') / sumOf(own, 'imageBytes'),
})

const sumOf = (halves: readonly Half[], what: keyof Half): number =>
  halves.reduce((sum, half) => sum + half[what], 0)

/** Formats costs as a table. */
export function traceTable(costs: readonly Cost[]): string {
  const head = ['', 'MB', '× floor', 'worst', 'requests', 'prefix']
  const cells = ({ timesFloor, worst, bytes, requests, prefixBytes }: HalfCost): string[] => [
    '',
    (bytes / 1e6).toFixed(0),
    timesFloor.toFixed(2),
    worst.toFixed(2),
    requests.toFixed(0),
    percent(prefixBytes),
  ]
  const rows = [
    ['', ...head, ...head, '', 'layers', 'most'],
    ...costs.map(({ layering, first, again, layers, mostLayers }) => [
      layering,
      ...cells(first),
      ...cells(again),
      '',
      layers.toFixed(1),
      String(mostLayers),
    ]),
  ]
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  )
  const offset = (column: number): number =>
    widths.slice(0, column).reduce((sum, width) => sum + width + 2, 0)
  const titles = [
    [2, 'all images'],
    [2 + head.length, 'after the update'],
  ] as const
  const title = titles.reduce((text, [column, words]) => text.padEnd(offset(column)) + words, '')
  return [title, ...lines].join('\n')
}

const percent = (part: number): string => `${(part * 100).toFixed(0)} %`
