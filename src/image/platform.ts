/** A platform of images, with its names in OCI and in Nix. */
export type Platform = {
  readonly os: 'linux'
  readonly architecture: 'amd64' | 'arm64'
  /** Nix's name for the platform. */
  readonly system: 'x86_64-linux' | 'aarch64-linux'
}

export const amd64: Platform = { os: 'linux', architecture: 'amd64', system: 'x86_64-linux' }
export const arm64: Platform = { os: 'linux', architecture: 'arm64', system: 'aarch64-linux' }

/** Platforms by the word that may begin an image name. */
export const platforms: Readonly<Record<Platform['architecture'], Platform>> = { amd64, arm64 }

/** The default platform, as in the original. */
export const defaultPlatform = amd64
