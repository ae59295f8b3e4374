/** Facts that processes must have in common: hashes of values, by names that operators know. */
export type Facts = Readonly<Record<string, string>>

/** The parts of a fleet in which all processes must have the same facts. */
export const parts = ['builds', 'serves'] as const
export type Part = (typeof parts)[number]

/** The facts of a process, by part. */
export type FactsByPart = { readonly [Name in Part]?: Facts | undefined }

/** A process of the fleet. */
export type Replica = {
  readonly id: string
  readonly host: string
  readonly role: string
  readonly version: string
  /** Seconds since it started, and since it was last seen, by the database's clock. */
  readonly age: number
  readonly seen: number
  /** Whether an operator drains it, so that it takes no more work. */
  readonly draining: boolean
  readonly facts: FactsByPart
}

/** The differences of a process from the one that it is compared with. */
export type Difference = { readonly names: readonly string[]; readonly from: Replica }

/** The names of facts in which a process differs from any other. */
export function differingFacts(me: Replica, all: readonly Replica[], part: Part): string[] {
  const mine = me.facts[part] ?? {}
  return Object.keys(mine).filter((name) =>
    all.some(({ facts }) => {
      const other = facts[part]?.[name]
      return other !== undefined && other !== mine[name]
    }),
  )
}

/**
 * Compares a process with the oldest one of the same part that takes work. So in a rolling change of settings,
 * processes with new settings wait until no process with the old ones is left.
 * @param all all running processes, in any order
 * @returns undefined if it has the same facts, or is the oldest itself
 */
export function differenceOf(me: Replica, all: readonly Replica[], part: Part): Difference | undefined {
  const mine = me.facts[part]
  if (!mine) return undefined
  const [oldest] = all
    .filter(({ draining, facts }) => !draining && facts[part])
    .sort((one, other) => other.age - one.age || (one.id < other.id ? -1 : 1))
  const others = oldest?.facts[part]
  if (!oldest || !others || oldest.id === me.id) return undefined
  // Another version may have facts that this one does not know.
  const names = Object.keys(mine).filter((name) => others[name] !== undefined && others[name] !== mine[name])
  return names.length === 0 ? undefined : { names: names.sort(), from: oldest }
}
