import { hasCode } from '../errors.ts'
import { DerivationGone } from '../nix/realise.ts'

// Milliseconds. After a retry response: longer than the pause of any client. Otherwise: during one pull, in which
// Docker requests the manifest twice and podman up to four times.
const retryMemory = 120_000
const pullMemory = 10_000

/** Refusals, which do not change for a revision. */
const isRefusal = (error: unknown): boolean => hasCode(error, 'PACKAGE_UNKNOWN', 'PACKAGE_DENIED')

/** Failures of the package, which would occur again. */
const isFinal = (error: unknown): boolean =>
  hasCode(error, 'BUILD_FAILED', 'BUILD_TIMEOUT', 'EVALUATION_TIMEOUT') && !(error instanceof DerivationGone)

/** Failures of the registry, which pass without a change to the package. */
const isOfRegistry = (error: unknown): boolean =>
  hasCode(error, 'STORE_UNAVAILABLE', 'STORE_FULL', 'NIX_UNAVAILABLE')

/** Failures that are not caused by the package. */
const isUnrelated = (error: unknown): boolean => hasCode(error, 'CANCELLED', 'OVERLOADED')

/**
 * How long the failure of a build is remembered, in milliseconds; 0 if it is not.
 * @param isExpected whether a client got a retry response
 */
export function memoryOf(error: unknown, isExpected: boolean): number {
  if (isUnrelated(error)) return 0
  // Only long enough for the client to read it: once the registry works again, the image can be built.
  if (isOfRegistry(error)) return isExpected ? pullMemory : 0
  if (isExpected || isRefusal(error)) return retryMemory
  return isFinal(error) ? pullMemory : 0
}
