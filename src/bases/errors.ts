/** Why a base image cannot be used, as the end of a sentence that begins with the recipe and its field. */
export class BaseProblem extends Error {
  /** Whether the same may work later: the registry cannot be reached, or fails. */
  readonly passing: boolean
  /** Whether the base is not made for the platform, while it may be for others. */
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
