export type NixOptions = {
  /** Folder for garbage collector roots, which only this program uses. */
  readonly rootsDirectory: string
  /** Seconds for which garbage collector roots outlive their use. */
  readonly keepRoots: number
  /** Seconds that one builder may run. */
  readonly builderTimeout: number
  /** Seconds that one realisation may take in total. */
  readonly buildTimeout: number
  /** Seconds that one evaluation may take. */
  readonly evalTimeout: number
  /** Seconds that fetching sources of packages may take. */
  readonly fetchTimeout: number
  /** Megabytes of memory that all evaluator processes together may use. */
  readonly evalMemory: number
  /** `warm` keeps processes with loaded package sets. */
  readonly evaluator: 'warm' | 'cold'
  /** How many realisations run at once; for evaluations see `evaluationsAtOnce`. */
  readonly concurrency: number
  /**
   * Denies evaluation access to the files and the environment of this machine, except for these files and folders, the
   * package set's folder, the store and the targets of NIX_PATH. If undefined, it may read whatever this program can.
   */
  readonly restricted?: { readonly readable: readonly string[] } | undefined
  /** Additional variables to pass to every Nix process. */
  readonly passEnvironment?: readonly string[]
  /** Variables that are never passed. */
  readonly withholdEnvironment?: readonly string[]
  /** A folder of this program's own to use as the Nix store; by default, the configured store is used. */
  readonly store?: string | undefined
  /** Called with a line for each setting that Nix needs on this machine. */
  readonly note: (line: string) => void
}

// Megabytes. Another concurrent evaluation must get at least this much memory.
const evaluationShare = 1024

/**
 * The number of concurrent evaluations, which share the memory equally: as many as realisations if each gets a gigabyte,
 * but at least two, so that a slow one does not block all others.
 */
export const evaluationsAtOnce = ({ concurrency, evalMemory }: NixOptions): number =>
  Math.max(2, Math.min(concurrency, Math.floor(evalMemory / evaluationShare)))
