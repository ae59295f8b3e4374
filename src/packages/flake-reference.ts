/** A flake in a git repository. */
export type FlakeRepository = {
  /** The URL for git. */
  readonly url: string
  /** The flake reference for one commit. `ref` is a ref that reaches it, which some versions of Nix require. */
  at(commit: string, ref: string): string
}

const forges: Readonly<Record<string, string>> = {
  github: 'github.com',
  gitlab: 'gitlab.com',
  sourcehut: 'git.sr.ht',
}

/**
 * The git repository of a flake reference (Nix manual, "nix flake", "Types"), without the branch, tag or commit in the
 * reference.
 * @returns undefined for other references, such as a folder, a tarball or a name in a flake registry
 */
export function repositoryOf(reference: string): FlakeRepository | undefined {
  const [address = '', query = ''] = reference.replace(/#.*$/, '').split(/\?(.*)/s)
  const parameters = new URLSearchParams(query)
  parameters.delete('ref')
  parameters.delete('rev')

  const [, kind = '', owner = '', name = ''] = /^([a-z]+):([^/]+)\/([^/]+)(?:\/.*)?$/.exec(address) ?? []
  const forge = Object.hasOwn(forges, kind) ? forges[kind] : undefined
  if (forge !== undefined) {
    const url = `https://${parameters.get('host') ?? forge}/${decoded(owner)}/${decoded(name)}`
    return { url, at: (commit) => withQuery(`${kind}:${owner}/${name}/${commit}`, parameters) }
  }

  if (!/^git(\+(https?|ssh|file))?:/.test(address)) return undefined
  const at = (commit: string, ref: string) => {
    const pinned = new URLSearchParams(parameters)
    pinned.set('ref', ref)
    pinned.set('rev', commit)
    return withQuery(address, pinned)
  }
  return { url: address.replace(/^git\+/, ''), at }
}

const withQuery = (address: string, parameters: URLSearchParams): string =>
  parameters.size === 0 ? address : `${address}?${parameters.toString()}`

/** GitLab subgroups are written with `%2F`. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
