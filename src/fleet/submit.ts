import type { MayStart } from '../builds/admission.ts'
import type { BuiltImage } from '../builds/build.ts'
import { hasCode } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import { windowOf } from './image-keys.ts'
import type { JobState, JobTable, Want } from './job-table.ts'
import type { Pin } from './pins.ts'

type SubmitOptions = {
  readonly requestId: string
  readonly traceparent?: string | undefined
  readonly want: Want
  readonly mayStart?: MayStart | undefined
  readonly signal: AbortSignal
}

/**
 * Returns a function that submits the build of an image. If it may not be started, because the client may not or because too
 * many builds are queued, an image that exists is returned. It throws what `mayStart` throws, OVERLOADED, and the failures
 * of both.
 * @param ready finds an image that exists. @throws NOT_READY if it does not
 */
export const createSubmit =
  (
    table: Pick<JobTable, 'submit'>,
    ready: (request: ImageRequest, signal: AbortSignal) => Promise<BuiltImage>,
  ) =>
  async (
    request: ImageRequest,
    pin: Pin,
    { requestId, traceparent, want, mayStart, signal }: SubmitOptions,
  ): Promise<JobState | BuiltImage> => {
    let refusal: unknown
    const mayAdd = async () => {
      try {
        await mayStart?.()
      } catch (error) {
        refusal = error
        throw error
      }
    }
    const job = { kind: 'image', request, world: pin.world, traceparent } as const
    try {
      return await table.submit(job, want, { requestId, window: windowOf(request, pin), mayAdd })
    } catch (error) {
      if (error !== refusal && !hasCode(error, 'OVERLOADED')) throw error
      return ready(request, signal).catch((missing: unknown) => {
        throw hasCode(missing, 'NOT_READY') ? error : missing
      })
    }
  }
