import { hasCode } from '../errors.ts'

/** Called before a build is started for a request. @throws if it may not be started for this one */
export type MayStart = () => Promise<void>

/**
 * Asks whether a build may be started.
 * @param existing finds what exists. @throws NOT_READY if it does not
 * @returns undefined if the build may be started, otherwise what exists
 * @throws the refusal if nothing exists, and other failures of `existing`
 */
export async function existingUnlessAdmitted<T>(
  mayStart: MayStart | undefined,
  existing: () => Promise<T>,
): Promise<T | undefined> {
  try {
    await mayStart?.()
    return undefined
  } catch (refusal) {
    return existing().catch((error: unknown) => {
      throw hasCode(error, 'NOT_READY') ? refusal : error
    })
  }
}
