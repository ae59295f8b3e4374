/** Why a base image cannot be used, as the end of a sentence that starts with the recipe and its field. */
export class BaseProblem extends Error {
  /** Whether a retry may succeed: the registry is unreachable or fails. */
  readonly passing: boolean
  /** Whether the base does not support the platform, but may support others. */
  readonly ofPlatform: boolean

  constructor(
    message: string,
    {
      cause,
      passing = false,
      ofPlatform = false,
    }: { cause?: unknown; passing?: boolean; ofPlatform?: boolean } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.passing = passing
    this.ofPlatform = ofPlatform
  }
}
