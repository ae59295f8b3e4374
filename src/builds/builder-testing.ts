import { NixeryError } from '../errors.ts'
import { parseImageReference } from '../image/name.ts'
import { createLimiter } from '../queue/limiter.ts'
import { createBuilder } from './builder.ts'
import type { Caller } from './caller.ts'
import { fakeDeps, fakeLookup, fakePath } from './deps-testing.ts'

/**
 * A builder with a fake Nix that knows every name and realises `jobs` builds at once. A build fails when its function in
 * `ends` is called.
 */
export function openFakeBuilder({ jobs = 1, maxQueue = 10, retryLease = 600, revisions = ['1'] } = {}) {
  const realisations = createLimiter(jobs)
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const evaluated: string[] = []
  const seen: string[] = []
  const deps = fakeDeps(
    {
      async evaluate({ attributes, revision }) {
        seen.push(revision ?? '')
        evaluated.push(String(attributes[0]))
        return attributes.map(([first = '']) => fakeLookup(String(first)))
      },
      withRealised: (wanted, watch) =>
        realisations.run(async () => {
          const name = wanted[0]?.outputPath.slice(fakePath('').length) ?? ''
          watch.onBegin?.()
          started.push(name)
          await new Promise<void>((resolve) => ends.set(name, resolve))
          throw new NixeryError('BUILD_FAILED', `${name} is over`)
        }, watch),
      forget() {},
    },
    // Each pin returns the next revision, until the last one.
    () => (revisions.length > 1 ? revisions.shift() : revisions[0]) ?? '',
  )
  const ended: string[] = []
  const names = new Map<string, string>()
  const builder = createBuilder({
    ...deps,
    maxQueue,
    retryLease,
    listener(build, event) {
      if (event.type === 'started') names.set(build, event.image)
      if (event.type === 'failed') ended.push(`${names.get(build)} ${(event.error as NixeryError).code}`)
    },
  })
  const ask = (name: string, caller: Partial<Caller> = {}) => {
    const client = new AbortController()
    const request = parseImageReference(name)
    const answer = builder.build(request, { id: name, signal: client.signal, ...caller })
    answer.catch(() => {})
    return { leave: () => client.abort(), answer }
  }
  return { builder, ask, started, ended, ends, evaluated, seen }
}
