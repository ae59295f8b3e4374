/** A user of an image, with a line in `/etc/passwd` and its own group. */
export type Account = {
  readonly name: string
  readonly uid: number
  readonly gid: number
  /** The home directory, which is created if it is missing. */
  readonly home: string
  readonly shell: string
  /** Names of further groups; sorted. */
  readonly groups: readonly string[]
}

/** A file, link or directory of an image that does not come from packages. `path` is absolute and contains no links. */
export type ImageFile =
  | (FileOwner & { readonly path: string; readonly text: string })
  | (FileOwner & { readonly path: string; readonly base64: string })
  /** A copy of a path in the Nix store: a file, or a directory with all its contents. */
  | (FileOwner & { readonly path: string; readonly store: string })
  | (FileOwner & { readonly path: string; readonly directory: true })
  | { readonly path: string; readonly link: string }

export type FileOwner = {
  /** Octal, four digits. Undefined for a copy that keeps the modes of its source. */
  readonly mode?: string
  readonly uid: number
  readonly gid: number
}

/** How Docker checks whether a container works. Times are in seconds. */
export type Healthcheck = {
  /** A command with its arguments, or a text for the shell. */
  readonly command: string | readonly string[]
  readonly interval?: number
  readonly timeout?: number
  readonly startPeriod?: number
  readonly retries?: number
}
