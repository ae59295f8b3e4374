import { Counter, type Registry } from 'prom-client'

/** One value of a counter. */
export type Cell = { count: number }

/** Counts by labels. Cheaper than prom-client's counters, which sort and check the labels each time. */
export type Tally = {
  add(labels: readonly string[], count: number): void
  /** The value for these labels, to be added to directly. */
  cell(labels: readonly string[]): Cell
}

/** Values of a metric, each with its labels. */
export type Samples = readonly (readonly [labels: readonly string[], value: number])[]

/** A counter whose values are stored elsewhere and read when metrics are read. */
export function countWhenRead(
  registry: Registry,
  name: string,
  help: string,
  labelNames: string[],
  read: () => Samples,
): void {
  void new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.labels(...labels).inc(value)
    },
  })
}

/** A counter that is filled from a tally when it is read. Labels must not contain spaces. */
export function tallied(registry: Registry, name: string, help: string, labelNames: string[]): Tally {
  const cells = new Map<string, Cell>()
  countWhenRead(registry, name, help, labelNames, () =>
    [...cells].map(([key, { count }]) => [key.split(' '), count]),
  )
  const cell = (labels: readonly string[]): Cell => {
    const key = labels.join(' ')
    const known = cells.get(key)
    if (known) return known
    const made = { count: 0 }
    cells.set(key, made)
    return made
  }
  return {
    cell,
    add(labels, count) {
      cell(labels).count += count
    },
  }
}
