import { impliedPackages } from '../image/name.ts'
import { byText, storePathName, type StorePath } from '../image/store-path.ts'
import { refuse, wordsOf, type Hints, type Unavailable } from './refusals.ts'
import type { ChosenOutput, Resolution } from './resolution.ts'
import { packagesOf, type DecidedRequest, type ImagePackage } from './image-packages.ts'

/** The packages of an image, and warnings for the operator. */
export type Chosen = { readonly packages: ChosenOutput[]; readonly warnings: readonly string[] }

/**
 * Chooses the outputs of an image's packages, each once. They are sorted by store path rather than by requested name,
 * so the order and case of names and different names for the same package make no difference. If two outputs have the
 * same file, the first wins: the one with the lower `meta.priority`, as in nixpkgs' buildEnv, then the first by name.
 * @param options.commits of derivations that are not from the pinned revision
 * @param options.hints suggests names for a missing one
 * @throws PACKAGE_UNKNOWN with all missing packages and suggestions, PACKAGE_DENIED, PACKAGE_INVALID
 */
export function choosePackages(
  decided: DecidedRequest,
  resolutions: ReadonlyMap<string, Resolution>,
  {
    commits,
    hints,
  }: { readonly commits?: ReadonlyMap<StorePath, string>; readonly hints?: Hints | undefined } = {},
): Chosen {
  const chosen = new Map<StorePath, ChosenOutput>()
  const warnings: string[] = []
  const unavailable: Unavailable[] = []
  for (const wanted of packagesOf(decided)) {
    const found = wanted.names.map((name) => resolutions.get(name))
    const first = found.find((each) => each?.status === 'package' || mayBeOver(wanted, each))
    if (first?.status === 'package') {
      const { status: _, outputs, ...rest } = first
      const commit = commits?.get(first.drvPath)
      const described = { ...rest, ...(commit !== undefined && { commit }) }
      const isImplied = wanted.implied || wanted.names.some((name) => impliedNames.has(name))
      for (const output of outputs) {
        const same = chosen.get(output.outputPath)
        const one = !same || byText(first.attribute, same.attribute) < 0 ? { ...described, ...output } : same
        const implied = isImplied || same?.implied === true
        const priority = Math.min(first.priority, same?.priority ?? first.priority)
        chosen.set(output.outputPath, { ...one, priority, implied })
      }
    } else if (wanted.need === 'optional' && !first) {
      warnings.push(
        `the package set has no usable ${wanted.names.join(' or ')}${forRecipes(wanted)}: omitted`,
      )
    } else {
      unavailable.push({ ...wanted, found: first ?? reasonOf(found) })
    }
  }
  if (unavailable.length > 0) refuse(decided, unavailable, hints)
  return { packages: [...chosen.values()].sort(byPriority), warnings }
}

/**
 * Whether a name of a recipe fails only for the moment. Falling back to another name would then give the same request
 * different images at different times.
 */
const mayBeOver = ({ by }: ImagePackage, found: Resolution | undefined): boolean =>
  by.length > 0 && found?.status === 'invalid' && found.kind === 'passing'

const impliedNames: ReadonlySet<string> = new Set(impliedPackages)

/** The result to report for several unusable names: that of the first one that exists. */
const reasonOf = (found: readonly (Resolution | undefined)[]): Resolution | undefined =>
  found.find((each) => each !== undefined && each.status !== 'missing') ?? found[0]

const forRecipes = ({ by }: ImagePackage): string => (by.length > 0 ? ` for ${wordsOf(by)}` : '')

const byPriority = (a: ChosenOutput, b: ChosenOutput): number =>
  a.priority - b.priority ||
  byText(storePathName(a.outputPath), storePathName(b.outputPath)) ||
  byText(a.outputPath, b.outputPath)
