import { NixeryError, systemErrorCode, isNixeryError } from '../errors.ts'

/**
 * Runs `work`, and turns cancellation and failed system calls into this project's errors.
 * @param what the thing that is written, for the message
 * @throws STORE_FULL, STORE_UNAVAILABLE, CANCELLED, and other errors of `work`
 */
export async function reportingErrors<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isNixeryError(error)) throw error
    if (error instanceof Error && error.name === 'AbortError') {
      throw new NixeryError('CANCELLED', 'interrupted', { cause: error })
    }
    const code = systemErrorCode(error)
    if (code === undefined) throw error
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    throw new NixeryError(isFull ? 'STORE_FULL' : 'STORE_UNAVAILABLE', `writing ${what} failed: ${code}`, {
      cause: error,
      ...(isFull && { hint: 'free or add disk space' }),
    })
  }
}
