import type { BuildFailure } from '../builds/builds.ts'
import type { MissingFeatures } from '../builds/lacked.ts'
import type { EventBuffer } from './event-buffer.ts'
import type { Lease, Leases } from './leases.ts'
import { persist } from './persist.ts'
import type { JobEnd } from './run-job.ts'

export type HandOnDeps = {
  readonly leases: Pick<Leases, 'handOn'>
  readonly events: Pick<EventBuffer, 'add' | 'flush'>
  readonly abilities: readonly string[]
}

/**
 * Leaves a build to workers with the system features that a derivation needs and this worker lacks. Which these are is known
 * only when Nix refuses to build it.
 * @returns undefined if another worker goes on, otherwise how the build has ended
 */
export async function handOn(
  { leases, events, abilities }: HandOnDeps,
  lease: Lease,
  ended: JobEnd,
  signal: AbortSignal,
): Promise<JobEnd | undefined> {
  const { lacks } = ended
  // Nix's daemon may have fewer features than its client believes: others would not do better.
  if (!lacks || lacks.features.every((name) => abilities.includes(name))) return ended
  if (!(await persist(() => leases.handOn(lease, lacks.features), signal))) return ofNobody(ended, lacks)
  events.add(lease.id, { type: 'warning', message: `${needed(lacks)}: a worker that has it continues` })
  await events.flush()
  return undefined
}

const needed = ({ derivation, features }: MissingFeatures): string =>
  `${derivation} needs the system feature ${features.join(', ')}`

function ofNobody(ended: JobEnd, lacks: MissingFeatures): JobEnd {
  const failure: BuildFailure = {
    code: 'BUILD_FAILED',
    message: `${needed(lacks)}, which no worker has`,
    hint: 'the operator can add a worker whose Nix has it in its system-features',
  }
  const { last } = ended
  return {
    ...ended,
    outcome: { failure },
    ...(last?.type === 'failed' && { last: { ...last, failure } }),
  }
}
