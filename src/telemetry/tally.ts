import { Counter, type Registry } from 'prom-client'

/** One value of a counter. */
export type Cell = { count: number }

/** Counts by labels. Cheaper than a counter of prom-client, which sorts and checks labels each time. */
export type Tally = {
  add(labels: readonly string[], count: number): void
  /** The value for these labels, to be added to directly. */
  cell(labels: readonly string[]): Cell
}

/** A counter that is filled from a tally when it is read. No label may have a space in it. */
export function tallied(registry: Registry, name: string, help: string, labelNames: string[]): Tally {
  const cells = new Map<string, Cell>()
  void new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [key, { count }] of cells) this.labels(...key.split(' ')).inc(count)
    },
  })
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
