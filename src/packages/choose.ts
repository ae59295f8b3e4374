import { byText, storePathName, type StorePath } from '../image/store-path.ts'
import { refuse, wordsOf, type Lacking } from './refusals.ts'
import type { Resolution, ResolvedPackage } from './resolution.ts'
import { wantedBy, type Decided, type Wanted } from './wanted.ts'

/** The packages of an image, and what the operator is to hear of them. */
export type Chosen = { readonly packages: ResolvedPackage[]; readonly warnings: readonly string[] }

/**
 * The packages of an image: each output once, sorted by what it is and not by what it was called. So the order of
 * names in a request, their case, and two names for one package make no difference.
 * @throws PACKAGE_UNKNOWN naming all missing packages and what was probably meant, PACKAGE_DENIED,
 *   PACKAGE_INVALID
 */
export function choosePackages(decided: Decided, resolutions: ReadonlyMap<string, Resolution>): Chosen {
  const packages = new Map<StorePath, ResolvedPackage>()
  const warnings: string[] = []
  const lacking: Lacking[] = []
  for (const wanted of wantedBy(decided)) {
    const found = wanted.names.map((name) => resolutions.get(name))
    const first = found.find((each) => each?.status === 'package')
    if (first) {
      const same = packages.get(first.outputPath)
      if (!same || byText(first.attribute, same.attribute) < 0) packages.set(first.outputPath, first)
    } else if (wanted.need === 'optional') {
      warnings.push(
        `the package set has no usable ${wanted.names.join(' or ')}${forRecipes(wanted)}: left out`,
      )
    } else {
      lacking.push({ ...wanted, found: reasonOf(found) })
    }
  }
  refuse(decided, lacking)
  return { packages: [...packages.values()].sort(byOutput), warnings }
}

/** Of several names that cannot be had, what is wrong with the first that there is. */
const reasonOf = (found: readonly (Resolution | undefined)[]): Resolution | undefined =>
  found.find((each) => each !== undefined && each.status !== 'missing') ?? found[0]

const forRecipes = ({ by }: Wanted): string => (by.length > 0 ? ` for ${wordsOf(by)}` : '')

const byOutput = (a: ResolvedPackage, b: ResolvedPackage): number =>
  byText(storePathName(a.outputPath), storePathName(b.outputPath)) || byText(a.outputPath, b.outputPath)
