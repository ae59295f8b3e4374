/** A package set at one revision: what everything made from it is keyed by. */
export type PinnedSet = {
  /** Its folder, or the flake that it is an output of. */
  readonly set: { readonly folder: string } | { readonly flake: string }
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
   * @throws MANIFEST_UNKNOWN for a tag that means nothing, SOURCE_INVALID when there is no package set,
   *   SOURCE_UNREACHABLE when it cannot be asked for and was never seen
   */
  pin(tag: string): Promise<PinnedSet>
  /** The tags that there are; undefined where any that can be resolved will do. */
  tags(): Promise<readonly string[] | undefined>
}
