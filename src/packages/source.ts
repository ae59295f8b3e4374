/** A package set at one revision: what everything made from it is keyed by. */
export type PinnedSet = {
  /** The folder that holds its default.nix. */
  readonly folder: string
  readonly revision: string
  /** Whether the folder still is that revision: what was read from it meanwhile may be remembered. */
  unchanged(): Promise<boolean>
}

/** Where packages come from. */
export type PackageSource = {
  /** For people: what and where. */
  readonly description: string
  /**
   * Pins what an image's tag means.
   * @throws MANIFEST_UNKNOWN for a tag that means nothing, SOURCE_INVALID when there is no package set
   */
  pin(tag: string): Promise<PinnedSet>
}
