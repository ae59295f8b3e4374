import type { Config } from '../config.ts'
import type { Vocabulary } from '../image/name.ts'
import { variablesOf, type NamedSet } from './sets.ts'

/** The package sets that are configured by name; undefined if there is but one, which has none. */
export const namedSets = (config: Config): readonly NamedSet[] | undefined => config.NIXERY_SETS

/** The words that the configuration adds to names. */
export const vocabularyOf = (config: Config): Vocabulary => ({
  sets: new Set(namedSets(config)?.map(({ name }) => name)),
})

/** The configuration of a package set on its own: as it would be if it were the only one. */
export function configOfSet(config: Config, { source }: NamedSet): Config {
  const { NIXERY_SETS: _, ...common } = config
  return { ...(source.kind === 'flake' ? withoutNixpkgs(common) : common), ...variablesOf(source) }
}

/** A flake is not called with arguments: these settings have no effect on it. */
const withoutNixpkgs = ({ NIXERY_NIXPKGS_CONFIG: _, ...config }: Config): Config => ({
  ...config,
  NIXERY_ALLOW_UNFREE: false,
  NIXERY_ALLOW_BROKEN: false,
  NIXERY_OVERLAYS: [],
})
