import type { BuildUpdate, WorkerStatus } from '../builds/builds.ts'
import { memoryOf } from '../builds/failure-memory.ts'
import { failureOf } from '../builds/failure.ts'
import { lackedIn, type MissingFeatures } from '../builds/lacked.ts'
import type { LocalBuilds } from '../builds/local-builds.ts'
import { hasCode } from '../errors.ts'
import { mapTexts, type Redactor } from '../text/redact.ts'
import type { EventBuffer } from './event-buffer.ts'
import { mayChange } from './image-keys.ts'
import type { Job, Outcome } from './jobs.ts'
import type { Keep, Lease } from './leases.ts'
import { periods } from './times.ts'

export type RunDeps = {
  readonly builds: Pick<LocalBuilds, 'pin' | 'submit' | 'built' | 'events' | 'cancel'>
  readonly status: Pick<WorkerStatus, 'tags' | 'revision' | 'recipePackages'>
  readonly events: Pick<EventBuffer, 'add' | 'flush'>
  /** Removes secrets from everything written to the database, because front ends do not know those of workers. */
  readonly redactor: Pick<Redactor, 'text' | 'lines'>
}

/** The outcome of a job, how long equal jobs get it, and the last event of a build. */
export type JobEnd = {
  readonly outcome: Outcome
  readonly keep: Keep
  readonly last?: BuildUpdate
  /** System features for which another worker may be able to do it. */
  readonly lacks?: MissingFeatures
}

/** Signals from the worker to a running job. */
export type JobSignals = {
  /** Fires when no client needs the job any longer, or another worker has taken it over. */
  readonly signal: AbortSignal
  /** Called once when a client starts to wait for a background job. */
  onUrgent?: (() => void) | undefined
}

// Milliseconds for which answers are shared: a few seconds for those that change.
const soonOld = 5_000
const pageRevision = 60_000
const always = (ms: number): Keep => ({ usual: ms, expected: ms })

/** Runs a job. Does not fail: a failure is an outcome. */
export async function runJob(deps: RunDeps, lease: Lease, signals: JobSignals): Promise<JobEnd> {
  const ended = await endOf(deps, lease, signals)
  return 'failure' in ended.outcome ? (mapTexts(ended, deps.redactor.text) as JobEnd) : ended
}

async function endOf(deps: RunDeps, lease: Lease, signals: JobSignals): Promise<JobEnd> {
  const { job } = lease
  try {
    if (job.kind === 'image') return await buildImage(deps, lease, job, signals)
    return {
      outcome: await answer(deps, job, signals),
      keep: always(job.kind === 'revision' ? pageRevision : soonOld),
    }
  } catch (error) {
    if (hasCode(error, 'CANCELLED'))
      return { outcome: { abandoned: true }, keep: always(0), ...lastOf(job, error, 0) }
    // Failures of lookups are temporary: they are shared only with concurrent callers.
    const keep = job.kind === 'image' ? memories(error) : always(1_000)
    return { outcome: { failure: failureOf(error) }, keep, ...lastOf(job, error, 0) }
  }
}

const memories = (error: unknown): Keep => ({
  usual: memoryOf(error, false),
  expected: memoryOf(error, true),
})

const lastOf = (job: Job, error: unknown, ms: number): { readonly last?: BuildUpdate } =>
  job.kind === 'image' ? { last: { type: 'failed', failure: failureOf(error), ms } } : {}

async function answer(
  { builds, status }: RunDeps,
  job: Exclude<Job, { kind: 'image' }>,
  { signal }: JobSignals,
): Promise<Outcome> {
  switch (job.kind) {
    case 'pin': {
      const { world } = await builds.pin(job.request, { old: false })
      return { world, at: 0 } // the database sets the time
    }
    case 'tags':
      return { tags: (await status.tags(job.request)) ?? null }
    case 'recipes':
      return {
        recipes: Object.fromEntries(await status.recipePackages(job.request, job.mayEvaluate)),
      }
    case 'revision':
      return { revision: await status.revision(job.set) }
    case 'ready': {
      const { id } = await builds.submit(job.request, { requestId: 'fleet', readyOnly: true })
      signal.addEventListener('abort', () => void builds.cancel(id))
      return { built: await builds.built(id) }
    }
  }
}

async function buildImage(
  deps: RunDeps,
  { id, background, attempt }: Lease,
  { request, world, traceparent }: Extract<Job, { kind: 'image' }>,
  signals: JobSignals,
): Promise<JobEnd> {
  const { builds, events } = deps
  const started = performance.now()
  if (attempt > 1) {
    events.add(id, {
      type: 'warning',
      message: 'the worker that built this has stopped; another one continues',
    })
  }
  let pinned = await builds.pin(request, { old: true })
  if (pinned.world !== world) pinned = await builds.pin(request, { old: false })
  if (pinned.world !== world) {
    const failure = { code: 'CANCELLED', message: 'the package set has changed in the meantime' } as const
    const last = { type: 'failed', failure, ms: performance.now() - started } as const
    return { outcome: { moved: pinned.world }, keep: always(0), last }
  }
  const { pinnedRequest } = pinned
  const submit = (inBackground: boolean) =>
    builds.submit(request, { requestId: id, traceparent, build: id, background: inBackground }, pinnedRequest)
  const own = await submit(background)
  const submissions = [own.id]
  const follow = (more: { readonly id: string }): void => {
    submissions.push(more.id)
    builds.built(more.id).catch(() => {}) // the first error is reported
  }
  signals.onUrgent = () => {
    signals.onUrgent = undefined
    void submit(false).then(follow)
  }
  const leave = () => {
    for (const each of submissions) void builds.cancel(each)
  }
  signals.signal.addEventListener('abort', leave)
  if (signals.signal.aborted) leave()
  const forwarded = forward(deps, id, own.id)
  try {
    const built = await builds.built(own.id)
    await forwarded
    const { digest } = built.image.manifests.oci
    return {
      outcome: { built },
      keep: always(mayChange(request) ? 5 * pageRevision : periods.keep),
      last: { type: 'finished', digest, ms: performance.now() - started },
    }
  } catch (error) {
    if (hasCode(error, 'CANCELLED')) throw error
    await forwarded
    const ms = performance.now() - started
    const lacks = lackedIn(error)
    return {
      ...(lacks && { lacks }),
      outcome: { failure: failureOf(error) },
      keep: memories(error),
      last: { type: 'failed', failure: failureOf(error), ms },
    }
  } finally {
    signals.onUrgent = undefined
  }
}

/** Copies the events of a local build to the log of all builds, except those that were already copied. */
async function forward({ builds, events, redactor }: RunDeps, id: string, submission: string): Promise<void> {
  const redact = redactor.lines()
  for await (const event of builds.events(submission)) {
    if (event.type === 'finished' || event.type === 'failed') return
    if (event.type === 'nix') events.add(id, { ...event, line: redact(event.line) })
    else if (event.type !== 'started' && event.type !== 'joined') {
      events.add(id, mapTexts(event, redactor.text) as BuildUpdate)
    }
  }
}
