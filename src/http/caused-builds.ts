import type { Builds, BuildUpdate } from '../builds/builds.ts'
import type { BuildPlace } from '../quotas/quotas.ts'
import type { AuditListener } from './audit.ts'
import type { RequestQuotas } from './quotas.ts'
import type { HttpRequest } from './request.ts'

export type CausedDeps = {
  readonly builds: Pick<Builds, 'known' | 'submit' | 'result' | 'cancel' | 'events'>
  readonly quotas?: RequestQuotas | undefined
  readonly audit?: AuditListener | undefined
}

/**
 * Tracks the builds of requests: each is counted against the client's quota before it is started, and is recorded in the
 * audit log.
 */
export function buildsFor(
  { builds, quotas, audit }: CausedDeps,
  request: HttpRequest,
): Pick<Builds, 'submit' | 'result' | 'cancel'> {
  if (!quotas && !audit) return builds
  return {
    async submit(imageRequest, options) {
      let place: BuildPlace | undefined
      let isOver = false
      const mayStart = async () => {
        place ??= await quotas?.build(request)
        // The client has got a retry response or has left, so that nothing follows this build to its end.
        if (isOver) place?.end()
      }
      const submission = await builds.submit(imageRequest, { ...options, ...(quotas && { mayStart }) })
      void follow(builds.events(submission.id), request, () => place, audit).finally(() => (isOver = true))
      return submission
    },
    result: (id) => builds.result(id),
    cancel: (id) => builds.cancel(id),
  }
}

/**
 * Follows the events of a request's builds to the end of the last one. Only the first request of a build caused it, and only
 * if there was work to do. A request counts once, however many of its builds ended because the package set had changed.
 * @param place that of the request if it was to start a build; known when the first event of that build is
 */
async function follow(
  events: AsyncIterable<BuildUpdate>,
  request: HttpRequest,
  place: () => BuildPlace | undefined,
  audit: AuditListener | undefined,
): Promise<void> {
  let image = ''
  let isFirst: boolean | undefined
  let hasWorked = false
  try {
    for await (const event of events) {
      if (event.type === 'started') {
        image = event.image
        isFirst = undefined
      }
      if (event.type === 'joined') isFirst ??= event.request === request.id
      if (hasWorked || isFirst === false || !isWork(event)) continue
      hasWorked = true
      audit?.({ event: 'build', request, image })
    }
  } finally {
    if (!hasWorked) void place()?.giveBack()
    place()?.end()
  }
}

/** Whether this is more work than reading stored facts. */
const isWork = (event: BuildUpdate): boolean =>
  event.type === 'evaluating' ||
  event.type === 'nix' ||
  event.type === 'realised' ||
  event.type === 'downloaded' ||
  event.type === 'packed'
