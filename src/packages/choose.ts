import { impliedPackages } from '../image/name.ts'
import { byText, storePathName, type StorePath } from '../image/store-path.ts'
import { refuse, wordsOf, type Lacking } from './refusals.ts'
import type { ChosenOutput, Resolution } from './resolution.ts'
import { wantedBy, type Decided, type Wanted } from './wanted.ts'

/** The packages of an image, and what the operator is to hear of them. */
export type Chosen = { readonly packages: ChosenOutput[]; readonly warnings: readonly string[] }

/**
 * The outputs of an image's packages, each once, sorted by what they are and not by what they were called. So the order
 * of names in a request, their case, and two names for one package make no difference. The first wins where two have
 * the same file: the one with the lower `meta.priority`, as in nixpkgs' buildEnv, and then the first by name.
 * @throws PACKAGE_UNKNOWN naming all missing packages and what was probably meant, PACKAGE_DENIED,
 *   PACKAGE_INVALID
 */
export function choosePackages(decided: Decided, resolutions: ReadonlyMap<string, Resolution>): Chosen {
  const chosen = new Map<StorePath, ChosenOutput>()
  const warnings: string[] = []
  const lacking: Lacking[] = []
  for (const wanted of wantedBy(decided)) {
    const found = wanted.names.map((name) => resolutions.get(name))
    const first = found.find((each) => each?.status === 'package' || mayBeOver(wanted, each))
    if (first?.status === 'package') {
      const { status: _, outputs, ...described } = first
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
        `the package set has no usable ${wanted.names.join(' or ')}${forRecipes(wanted)}: left out`,
      )
    } else {
      lacking.push({ ...wanted, found: first ?? reasonOf(found) })
    }
  }
  refuse(decided, lacking)
  return { packages: [...chosen.values()].sort(byPriority), warnings }
}

/** Whether a name of a recipe fails only now: another image in its place would be taken for this one later. */
const mayBeOver = ({ by }: Wanted, found: Resolution | undefined): boolean =>
  by.length > 0 && found?.status === 'invalid' && found.kind === 'passing'

const impliedNames: ReadonlySet<string> = new Set(impliedPackages)

/** Of several names that cannot be had, what is wrong with the first that there is. */
const reasonOf = (found: readonly (Resolution | undefined)[]): Resolution | undefined =>
  found.find((each) => each !== undefined && each.status !== 'missing') ?? found[0]

const forRecipes = ({ by }: Wanted): string => (by.length > 0 ? ` for ${wordsOf(by)}` : '')

const byPriority = (a: ChosenOutput, b: ChosenOutput): number =>
  a.priority - b.priority ||
  byText(storePathName(a.outputPath), storePathName(b.outputPath)) ||
  byText(a.outputPath, b.outputPath)
