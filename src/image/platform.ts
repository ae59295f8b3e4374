/** A platform that images are made for: OCI's words and Nix's word for the same thing. */
export type Platform = {
  readonly os: 'linux'
  readonly architecture: 'amd64' | 'arm64'
  /** Nix's name of it. */
  readonly system: 'x86_64-linux' | 'aarch64-linux'
}

export const amd64: Platform = { os: 'linux', architecture: 'amd64', system: 'x86_64-linux' }
export const arm64: Platform = { os: 'linux', architecture: 'arm64', system: 'aarch64-linux' }

/** By the name that an image name may lead with. */
export const platforms: Readonly<Record<Platform['architecture'], Platform>> = { amd64, arm64 }

/** The platform when the name does not say one, as in the original. */
export const defaultPlatform = amd64
