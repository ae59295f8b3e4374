import { NixeryError } from '../errors.ts'
import type { BuilderDeps } from './builder.ts'
import { fakeDeps, fakeLookup } from './deps-testing.ts'
import { createLocalBuilds } from './local-builds.ts'

/**
 * Builds in this process with a Nix that knows every name, and whose builds fail when the test says so.
 * @param deps.changing whether each pin returns a new revision
 * @param deps.refusal with which Nix refuses each build at once
 */
export function openFakeBuilds({
  changing = false,
  refusal,
  ...more
}: Partial<Pick<BuilderDeps, 'fence'>> & {
  readonly changing?: boolean
  readonly refusal?: Error | undefined
} = {}) {
  const end = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  const pins: string[] = []
  const deps = fakeDeps(
    {
      evaluate: async ({ attributes }) => attributes.map((parts) => fakeLookup(parts.join('.'))),
      async withRealised(_, watch) {
        if (refusal) throw refusal
        began.resolve()
        watch.onLine?.('building with a secret')
        const gone = new Promise((resolve) => watch.signal?.addEventListener('abort', resolve))
        await Promise.race([end.promise, gone])
        throw new NixeryError(watch.signal?.aborted ? 'CANCELLED' : 'BUILD_FAILED', 'it is over', {
          hint: 'a hint',
        })
      },
      forget() {},
    },
    (tag) => {
      pins.push(tag)
      return changing ? `r${pins.length}` : 'r'
    },
  )
  const started: string[] = []
  const traceparents: (string | undefined)[] = []
  const builds = createLocalBuilds({
    ...deps,
    ...more,
    listener(_, event) {
      if (event.type === 'started') started.push(event.image)
      if (event.type === 'joined') traceparents.push(event.traceparent)
    },
  })
  return { builds, began: began.promise, end: () => end.resolve(), started, traceparents, pins }
}
