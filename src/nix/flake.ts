import { NixeryError } from '../errors.ts'
import { isStorePath, parseStorePath, type StorePath } from '../image/store-path.ts'
import { addRoot } from './fetch.ts'
import { messageOf } from './message.ts'
import { run, type RunOptions } from './process.ts'
import { unreachable } from './unreachable.ts'

/** A locked flake reference. */
export type LockedFlake = {
  /** A reference to the flake's source in the Nix store, which evaluation reads without credentials. */
  readonly url: string
  /** The commit that locks it, or its hash. */
  readonly revision: string
  /** The store paths of the flake and its inputs, each kept by a garbage collector root. */
  readonly paths: readonly StorePath[]
  /** Why inputs could not be fetched. Evaluation fails only if it needs them, and they are not public. */
  readonly warning?: string
  /** The locked commit and its time (seconds since 1970); undefined for a flake without a commit. */
  readonly commit?: { readonly id: string; readonly seconds: number }
}

export type LockOptions = RunOptions & {
  /** The path of the garbage collector root for a store path. */
  readonly rootOf: (path: StorePath) => string
}

/** The part of `nix flake metadata --json` that is used. */
type Metadata = {
  readonly url: string
  readonly path: string
  readonly revision?: string
  readonly locked: {
    readonly narHash: string
    readonly dir?: string
    readonly rev?: string
    readonly revCount?: number
    readonly lastModified?: number
  }
  readonly locks: { readonly nodes: Readonly<Record<string, unknown>> }
}

/** The part of `nix flake archive --json` that is used. */
type Archived = { readonly path?: string; readonly inputs?: Readonly<Record<string, Archived>> }

/**
 * Locks a flake reference, and fetches the flake and its inputs into the store. Only this step has access to the
 * operator's ssh keys and tokens; evaluation has none, and uses the flake's store path.
 * @throws SOURCE_UNREACHABLE like `fetchSources`, CONFIG_INVALID if this Nix does not support flakes, CANCELLED
 */
export async function lockFlake(reference: string, options: LockOptions): Promise<LockedFlake> {
  const result = await flakeCommand(['metadata', '--json', '--refresh', '--', reference], options)
  if (!result.ok) throw isWithoutFlakes(result.lines) ? withoutFlakes() : unreachable(result)
  const metadata = JSON.parse(result.stdout) as Metadata
  const { locked, locks } = metadata
  const revision = metadata.revision ?? locked.narHash
  const source = parseStorePath(metadata.path)
  const url = inStore(source, metadata.locked)
  // A flake in a subfolder may be refused even without inputs.
  const hasInputs = Object.keys(locks.nodes).length > 1 || locked.dir !== undefined
  const { refused = false, ...inputs } = hasInputs ? await fetchInputs(url, options) : { paths: [] }
  const paths = [...new Set([source, ...inputs.paths])]
  for (const path of paths) await addRoot(path, options.rootOf(path), options)
  const { rev: id, lastModified: seconds } = locked
  const commit = id === undefined || seconds === undefined ? {} : { commit: { id, seconds } }
  return { ...inputs, ...commit, url: refused ? metadata.url : url, revision, paths }
}

/** A reference to the flake's folder in the store, with the source attributes that its outputs can read. */
function inStore(path: StorePath, { dir, narHash, rev, revCount, lastModified }: Metadata['locked']): string {
  const parameters = Object.entries({ dir, narHash, rev, revCount, lastModified })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
  return `path:${path}?${parameters.join('&')}`
}

/** Fetches the inputs that are not in the store yet. */
async function fetchInputs(
  url: string,
  options: RunOptions,
): Promise<{ paths: readonly StorePath[]; refused?: boolean; warning?: string }> {
  const asLocked = ['--no-update-lock-file', '--no-write-lock-file', '--no-registries']
  const result = await flakeCommand(['archive', '--json', ...asLocked, '--', url], options)
  // Nix 2.8 does not support subfolders of a path: such a flake can be evaluated only if it is public.
  if (!result.ok && result.lines.some((line) => line.includes("unsupported parameter 'dir'")))
    return { paths: [], refused: true }
  if (!result.ok) return { paths: [], warning: messageOf(result.lines) }
  return { paths: pathsOf(JSON.parse(result.stdout) as Archived) }
}

const pathsOf = ({ path, inputs = {} }: Archived): StorePath[] => [
  ...(path !== undefined && isStorePath(path) ? [path] : []),
  ...Object.values(inputs).flatMap(pathsOf),
]

const flakeCommand = (args: readonly string[], options: RunOptions) =>
  run('nix', ['--extra-experimental-features', 'nix-command flakes', 'flake', ...args], options)

const isWithoutFlakes = (lines: readonly string[]): boolean =>
  lines.some((line) => /not a recognised|unknown experimental feature|unrecognised flag/.test(line))

const withoutFlakes = () =>
  new NixeryError('CONFIG_INVALID', 'this version of Nix does not support flakes', {
    hint: 'NIXERY_FLAKE needs Nix 2.4 or later',
  })
