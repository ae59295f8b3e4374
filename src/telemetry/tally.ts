import { Counter, type Registry } from 'prom-client'

/** Counts by labels. Cheaper than a counter of prom-client, which sorts and checks labels each time. */
export type Tally = {
  add(labels: readonly string[], count: number): void
}

/** A counter that is filled from a tally when it is read. No label may have a space in it. */
export function tallied(registry: Registry, name: string, help: string, labelNames: string[]): Tally {
  const counts = new Map<string, number>()
  void new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [key, count] of counts) this.labels(...key.split(' ')).inc(count)
    },
  })
  return {
    add(labels, count) {
      const key = labels.join(' ')
      counts.set(key, (counts.get(key) ?? 0) + count)
    },
  }
}
