import type { Config } from '../config.ts'
import type { Vocabulary } from '../image/name.ts'
import { platforms, type Platform } from '../image/platform.ts'
import { variablesOf, type NamedSet } from './sets.ts'

/** The named package sets; undefined if there is only one, without a name. */
export const namedSets = (config: Config): readonly NamedSet[] | undefined => config.sets

/** The words that the configuration adds to names. */
export const vocabularyOf = (config: Config): Vocabulary => ({
  sets: new Set(namedSets(config)?.map(({ name }) => name)),
})

/** The configuration of a package set as if it were the only one. */
export function configOfSet(config: Config, { source, own }: NamedSet): Config {
  const { NIXERY_SETS: _, NIXERY_SETS_FILE: __, sets: ___, ...common } = config
  return { ...(source.kind === 'flake' ? withoutNixpkgs(common) : common), ...own, ...variablesOf(source) }
}

/** The platforms of a name without one, for each package set; `undefined` is the default set. */
export function platformsBySet(config: Config): (set: string | undefined) => readonly Platform[] {
  const of = ({ NIXERY_PLATFORMS }: Pick<Config, 'NIXERY_PLATFORMS'>) =>
    NIXERY_PLATFORMS.map((name) => platforms[name])
  const sets = namedSets(config) ?? []
  const bySet = new Map(sets.map((set) => [set.name, of(configOfSet(config, set))]))
  const usual = bySet.get(sets[0]?.name ?? '') ?? of(config)
  return (set) => (set === undefined ? usual : (bySet.get(set) ?? usual))
}

/** A flake is not called with arguments: these settings have no effect on it. */
const withoutNixpkgs = (config: Config): Config => ({
  ...config,
  NIXERY_ALLOW_UNFREE: false,
  NIXERY_ALLOW_BROKEN: false,
  NIXERY_NIXPKGS_CONFIG: undefined,
  NIXERY_OVERLAYS: [],
})
