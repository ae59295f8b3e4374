import { setTimeout as delay } from 'node:timers/promises'
import { differenceOf, differingFacts, parts, type FactsByPart, type Part } from './agreement.ts'
import type { Replicas, Self } from './replicas.ts'

export type MembershipDeps = {
  readonly replicas: Pick<Replicas, 'beHere' | 'leave'>
  readonly self: Omit<Self, 'facts'>
  /** The current facts that this process must have in common with others. */
  readonly facts: () => Promise<FactsByPart>
  /** Called while it differs from any other process in these facts. */
  readonly onDifference?: ((names: readonly string[]) => void) | undefined
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
  /** Milliseconds from one look to the next. */
  readonly every: number
}

/** The membership of a process in its fleet. */
export type Membership = {
  /** Whether it may take builds: not while an operator drains it, or while it differs from other builders. */
  mayBuild(): boolean
  isDraining(): boolean
  /** Resolves after the first check. */
  readonly first: Promise<void>
  close(): Promise<void>
}

const consequences: Readonly<Record<Part, string>> = {
  builds: 'this worker takes no builds',
  serves: 'clients may get different responses here',
}

export function joinFleet(deps: MembershipDeps): Membership {
  const { replicas, self, facts, onDifference, note, warn, every } = deps
  const closing = new AbortController()
  const said = new Map<Part, string>()
  let draining = false
  let differs = true // until the first check

  const look = async () => {
    const own = await facts()
    const all = await replicas.beHere({ ...self, facts: own })
    const me = all.find(({ id }) => id === self.id)
    if (!me) return
    if (me.draining !== draining)
      note(me.draining ? 'draining: it takes no more work' : 'it takes work again')
    draining = me.draining
    for (const part of parts) {
      const difference = differenceOf(me, all, part)
      if (part === 'builds') differs = difference !== undefined
      const names = differingFacts(me, all, part)
      if (names.length > 0) onDifference?.(names)
      const line = difference
        ? `${consequences[part]}, because it differs from ${difference.from.host} (${difference.from.role}) in ${difference.names.join(', ')}`
        : ''
      if ((said.get(part) ?? '') === line) continue
      said.set(part, line)
      if (difference) warn(line)
      else note('this process agrees with the others again')
    }
  }
  const run = async (first: () => void) => {
    while (!closing.signal.aborted) {
      // Failures of the database are reported by its users; until it is back, nothing changes.
      await look().catch(() => {})
      first()
      await delay(every, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const first = Promise.withResolvers<void>()
  const running = run(first.resolve)

  return {
    mayBuild: () => !draining && !differs,
    isDraining: () => draining,
    first: first.promise,
    async close() {
      closing.abort()
      await running
      await replicas.leave(self.id).catch(() => {}) // its row expires
    },
  }
}
