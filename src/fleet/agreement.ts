/** What processes must have in common, by the name under which an operator finds it: hashes of the values. */
export type Facts = Readonly<Record<string, string>>

/** The parts of a fleet in which all processes must have the same facts. */
export const parts = ['builds', 'serves'] as const
export type Part = (typeof parts)[number]

/** The facts of the parts that a process has. */
export type FactsByPart = { readonly [Name in Part]?: Facts | undefined }

/** A process of the fleet. */
export type Replica = {
  readonly id: string
  readonly host: string
  readonly role: string
  readonly version: string
  /** Seconds since it started, and since it was last seen, by the clock of the database. */
  readonly age: number
  readonly seen: number
  /** Whether an operator wants it to take no more work. */
  readonly draining: boolean
  readonly facts: FactsByPart
}

/** What a process has different from the one that it is compared with. */
export type Difference = { readonly names: readonly string[]; readonly from: Replica }

/**
 * Compares a process with the oldest one of the same part that takes work. So when settings are changed by restarting one
 * process after another, those with the new ones wait until no process with the old ones is left.
 * @param all the processes that are there, in any order
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
  // A version beside this one may have facts that this one does not know.
  const names = Object.keys(mine).filter((name) => others[name] !== undefined && others[name] !== mine[name])
  return names.length === 0 ? undefined : { names: names.sort(), from: oldest }
}
