import { FeaturesMissing, type MissingFeatures } from '../nix/missing-features.ts'

export type { MissingFeatures } from '../nix/missing-features.ts'

/** The system features that a build has lacked, if that is why it failed. */
export const lackedIn = (error: unknown): MissingFeatures | undefined =>
  error instanceof FeaturesMissing ? { derivation: error.derivation, features: error.features } : undefined
