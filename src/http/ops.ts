import type { Action, Subject } from '../access/may.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { isNixeryError } from '../errors.ts'
import { textReply, type Reply } from './reply.ts'
import type { RouteTable, TableRoute } from './route-table.ts'

/** The requirements for building and serving images: each check throws if one is not met. */
export type Checks = Readonly<Record<string, () => Promise<unknown>>>

export type OpsDeps = {
  readonly checks: Checks
  /** Alternative checks, one of which must pass; all others must pass. */
  readonly alternatives?: ReadonlySet<string>
  /** Whether the names of alternatives (package sets) are public; true by default. */
  readonly showAlternatives?: boolean
  /** Checks that are shown, but without which the server is ready: it serves what it has in memory. */
  readonly unnecessary?: ReadonlySet<string>
  /** Whether the server is shutting down. */
  readonly isStopping: () => boolean
  /** All metrics in Prometheus' text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  /** Receives a line when a check starts to fail, and when it passes again. */
  readonly onChange?: (line: string, failure?: unknown) => void
  readonly timing?: Partial<CheckTiming>
}

/** Milliseconds. */
export type CheckTiming = {
  /** How long a result is reused, so that frequent probes cost little. */
  readonly believed: number
  /** How long each check may take. */
  readonly timeout: number
}

// Load balancers and Kubernetes give a probe a second.
const longestForUnnecessary = 500

const defaultTiming: CheckTiming = { believed: 5_000, timeout: 5_000 }

/**
 * `/healthz`: the process responds. `/readyz`: it can build and serve images, otherwise 503 with the failures.
 * `/metrics`: for Prometheus.
 */
export function createOps({
  checks,
  alternatives = new Set(),
  showAlternatives = true,
  unnecessary = new Set(),
  isStopping,
  metrics,
  onChange,
  timing,
}: OpsDeps): RouteTable {
  const runChecks = createCheckRunner(
    checks,
    { ...defaultTiming, ...timing },
    { unnecessary, onChange: onChange ?? (() => {}) },
  )

  const ready = async (): Promise<Reply> => {
    if (isStopping()) return json(503, { ready: false, stopping: true })
    const results = await runChecks()
    const works = (name: string) => results[name] === 'ok'
    const names = Object.keys(results)
    const isReady =
      names.every((name) => alternatives.has(name) || unnecessary.has(name) || works(name)) &&
      (alternatives.size === 0 || names.some((name) => alternatives.has(name) && works(name)))
    const shown = showAlternatives ? results : withoutNames(results, alternatives)
    return json(isReady ? 200 : 503, { ready: isReady, checks: shown })
  }
  const route = (action: Action, subject: Subject, get: () => Promise<Reply> | Reply): TableRoute => ({
    action,
    subject,
    reply({ method }) {
      if (method === 'GET' || method === 'HEAD') return get()
      return reply(405, 'text/plain; charset=utf-8', 'read-only\n', { Allow: 'GET, HEAD' })
    },
  })
  const routes = new Map<string, TableRoute>([
    ['/healthz', route('pull', 'public', () => json(200, { alive: true }))],
    ['/readyz', route('pull', 'public', ready)],
    [
      '/metrics',
      route('admin', 'server', async () => {
        const { contentType, text } = await metrics()
        return reply(200, contentType, text)
      }),
    ],
  ])
  return (path) => routes.get(path)
}

const reply = (
  status: number,
  contentType: string,
  body: string,
  headers?: Record<string, string>,
): Reply => {
  const { 'Docker-Distribution-Api-Version': _, ...rest } = textReply(status, contentType, body).headers
  return { status, headers: { ...rest, 'Cache-Control': 'no-store', ...headers }, body }
}

const json = (status: number, value: unknown): Reply =>
  reply(
    status,
    'application/json',
    `${JSON.stringify(value)}\n`,
    status === 503 ? { 'Retry-After': '5' } : {},
  )

/** `ok` or an error code. Details go to the log, because this endpoint is public. */
type Results = Readonly<Record<string, string>>

/** Replaces the alternatives by one result: `ok` if one of them works, otherwise the failure of the first. */
function withoutNames(results: Results, alternatives: ReadonlySet<string>): Results {
  const [of = [], others = []] = [true, false].map((is) =>
    Object.entries(results).filter(([name]) => alternatives.has(name) === is),
  )
  const packages = of.find(([, result]) => result === 'ok') ?? of[0]
  return { ...Object.fromEntries(others), ...(packages && { packages: packages[1] }) }
}

type RunnerOptions = Required<Pick<OpsDeps, 'unnecessary' | 'onChange'>>

/** Runs all checks in parallel. Concurrent and shortly following callers share the results. */
function createCheckRunner(
  checks: Checks,
  { believed, timeout }: CheckTiming,
  { unnecessary, onChange }: RunnerOptions,
): () => Promise<Results> {
  const failing = new Set<string>()
  // A check that hangs is not started a second time.
  const running = new Map<string, Promise<unknown>>()
  let last: { readonly results: Promise<Results>; done: number } | undefined

  const check = async (name: string, run: () => Promise<unknown>): Promise<string> => {
    const result = running.get(name) ?? run().finally(() => running.delete(name))
    running.set(name, result)
    try {
      await within(timeout, result)
      if (failing.delete(name)) onChange(`the check of ${name} succeeds again`)
      return 'ok'
    } catch (error) {
      const consequence = unnecessary.has(name) ? '' : ': this server is not ready'
      if (!failing.has(name)) onChange(`the check of ${name} failed${consequence}`, error)
      failing.add(name)
      if (error === late) return 'TIMEOUT'
      return isNixeryError(error) ? error.code : 'UNKNOWN'
    }
  }
  const latest = new Map<string, string>()
  /** Probes do not wait for unnecessary checks: they get the last result. */
  const checkSoon = (name: string, run: () => Promise<unknown>): Promise<string> => {
    const done = check(name, run)
    void done.then((result) => latest.set(name, result))
    if (!unnecessary.has(name)) return done
    return Promise.race([done, sleep(longestForUnnecessary).then(() => latest.get(name) ?? 'TIMEOUT')])
  }
  const all = async (): Promise<Results> =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(checks).map(async ([name, run]) => [name, await checkSoon(name, run)] as const),
      ),
    )
  return () => {
    if (last && last.done + believed > performance.now()) return last.results
    const run = { results: all(), done: Infinity }
    void run.results.then(() => (run.done = performance.now()))
    last = run
    return run.results
  }
}

const late = new Error('no response in time')

async function within(timeout: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  const watch = sleep(timeout, undefined, { signal: over.signal }).then(() => Promise.reject(late))
  try {
    await Promise.race([work, watch])
  } finally {
    over.abort()
  }
}
