/** A result of `nixery doctor`. */
export type Finding = {
  readonly about:
    | 'settings'
    | 'nix'
    | 'sandbox'
    | 'packages'
    | 'recipes'
    | 'storage'
    | 'network'
    | 'caches'
    | 'disk'
    | 'server'
    | 'clients'
  /** `problem`: images cannot be built or served. `warning`: something may fail later, or is less safe than it could be. */
  readonly state: 'ok' | 'warning' | 'problem'
  readonly message: string
  /** A command or a setting that fixes it. */
  readonly fix?: string
}

/** A finding from an error. @param fix used if the error has no hint */
export function problem(about: Finding['about'], error: unknown, fix?: string): Finding {
  const { message, hint } = error as { message?: string; hint?: string }
  const mend = hint ?? fix
  return {
    about,
    state: 'problem',
    message: message ?? String(error),
    ...(mend !== undefined && { fix: mend }),
  }
}
