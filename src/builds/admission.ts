import { hasCode } from '../errors.ts'

/** Called before a build is started for a request. @throws if it may not be started for this one */
export type MayStart = () => Promise<void>

/**
 * Checks whether a build may be started.
 * @param existing finds an existing image. @throws NOT_READY without one
 * @returns undefined if the build may be started, otherwise the existing image
 * @throws the refusal if no image exists, and other failures of `existing`
 */
export async function existingUnlessAdmitted<T>(
  mayStart: MayStart,
  existing: () => Promise<T>,
): Promise<T | undefined> {
  try {
    await mayStart()
    return undefined
  } catch (refusal) {
    return existing().catch((error: unknown) => {
      throw hasCode(error, 'NOT_READY') ? refusal : error
    })
  }
}
