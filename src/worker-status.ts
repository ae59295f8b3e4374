import type { WorkerStatus } from './builds/builds.ts'
import { packagesOfRecipes } from './builds/find-recipes.ts'
import type { LocalBuilds } from './builds/local-builds.ts'
import { notReady } from './builds/not-ready.ts'
import type { Nix } from './nix/nix.ts'
import type { PackageSets } from './packages/sets.ts'
import type { OpenSets } from './sets.ts'

type StatusDeps = Pick<OpenSets, 'bookOf' | 'ages'> & {
  readonly nix: Pick<Nix, 'version' | 'evaluators'>
  readonly nixVersion: string
  readonly sets: PackageSets
  readonly builds: Pick<LocalBuilds, 'load'>
}

/** The state of a worker, for those who serve clients. */
export const statusOf = ({ nix, nixVersion, sets, builds, bookOf, ages }: StatusDeps): WorkerStatus => ({
  nixVersion,
  packages: [...sets.sources].map(([set, { description, publicDescription }]) => ({
    set,
    description,
    publicDescription,
  })),
  tags: async (request) => (await sets.sourceOf(request)).tags(),
  async revision(set) {
    const { revision } = await sourceNamed(sets, set).pin('latest')
    return revision
  },
  async recipePackages(original, mayEvaluate) {
    const { request, pinned } = await sets.pin(original, { old: true })
    const enter = () => {
      if (!mayEvaluate) throw notReady()
    }
    return packagesOfRecipes(bookOf(pinned), request, pinned, { enter })
  },
  async check(part, set) {
    await (part === 'nix' ? nix.version() : sourceNamed(sets, set).usable())
  },
  load: () => ({ ...builds.load(), evaluators: nix.evaluators(), revisions: ages() }),
})

function sourceNamed({ sources }: PackageSets, name: string | undefined) {
  const source = sources.get(name)
  if (!source) throw new Error(`there is no package set ${name}`)
  return source
}
