import type { Platform } from '../image/platform.ts'
import type { LookupResult } from '../nix/evaluate.ts'
import { spdxExpression } from '../packages/license.ts'
import { refusalOf, type NameFilter } from '../packages/policy.ts'
import type { Resolution } from '../packages/resolution.ts'
import { suggestions } from '../packages/suggestions.ts'

export const denied = {
  status: 'denied',
  reason: 'is not served by this registry',
} as const satisfies Resolution

/**
 * What a name means, from what Nix said of it.
 * @param filter undefined for a name that is not subject to it
 */
export function resolutionOf(
  name: string,
  looked: LookupResult,
  { architecture }: Platform,
  filter: NameFilter | undefined,
): Resolution {
  switch (looked.status) {
    case 'package': {
      const { drvPath, outputs, pname, version, priority } = looked
      const found = looked.packagePath.join('.')
      const attribute = looked.path.join('.')
      const isAllowed =
        !filter || filter.allows(found) || (attribute !== found && filter.allowsOutput(attribute))
      if (!isAllowed) return denied
      // An output that comes with the default one is no way around a pattern that denies it by name.
      if (outputs.slice(1).some(({ output }) => filter?.denies(`${found}.${output}`))) return denied
      const license = spdxExpression(looked.license)
      return {
        status: 'package',
        attribute,
        package: found,
        drvPath,
        outputs: [...outputs],
        pname,
        version,
        priority,
        ...(license !== undefined && { license }),
      }
    }
    case 'missing': {
      const nearest = suggestions({ name, ...looked }, (other) => !filter || filter.permits(other))
      return { status: 'missing', nearest }
    }
    case 'other':
      return { status: 'invalid', kind: 'other', reason: `is ${kindOf(looked.type)}, not a package` }
    case 'denied':
      return denied
    case 'failed': {
      // What may be over soon is no refusal, whatever it says: a platform is left out of an index for those.
      const refusal = looked.lasting ? refusalOf(looked.message, architecture) : undefined
      if (refusal !== undefined) return { status: 'denied', reason: refusal }
      const reason = `does not evaluate:\n${looked.message}`
      return { status: 'invalid', reason, ...(!looked.lasting && { kind: 'passing' }) }
    }
  }
}

/** In words, what has one of lookup.nix's types. */
const kindOf = (type: string): string => kinds.get(type) ?? `a ${type}`
const kinds = new Map([
  ['packages', 'a set of packages'],
  ['set', 'a set of attributes'],
  ['lambda', 'a function'],
  ['int', 'a number'],
  ['float', 'a number'],
  ['bool', 'a truth value'],
  ['null', 'null'],
])
