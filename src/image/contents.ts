/** A user of an image, with a line in `/etc/passwd` and a group of its own. */
export type Account = {
  readonly name: string
  readonly uid: number
  readonly gid: number
  /** The home directory, which is made if there is none. */
  readonly home: string
  readonly shell: string
  /** Names of further groups; sorted. */
  readonly groups: readonly string[]
}

/** A file, link or directory that an image has besides those of packages. `path` is absolute and has no links in it. */
export type ImageFile =
  | (FileOwner & { readonly path: string; readonly text: string })
  | (FileOwner & { readonly path: string; readonly base64: string })
  /** A copy of what is at a path in the Nix store: a file, or a directory with all that is in it. */
  | (FileOwner & { readonly path: string; readonly store: string })
  | (FileOwner & { readonly path: string; readonly directory: true })
  | { readonly path: string; readonly link: string }

export type FileOwner = {
  /** Octal, four digits. Of a copy: not set, if it has the modes of what is copied. */
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
