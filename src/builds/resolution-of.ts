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
 * The resolution of a name, from its evaluation.
 * @param filter undefined if it does not apply to the name
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
      // Patterns that deny an output by name also apply if it comes with the default output.
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
      // A temporary failure is never a refusal: an index leaves out platforms that are refused.
      const refusal = looked.lasting ? refusalOf(looked.message, architecture) : undefined
      if (refusal !== undefined) return { status: 'denied', reason: refusal }
      const reason = `does not evaluate:\n${looked.message}`
      return { status: 'invalid', reason, ...(!looked.lasting && { kind: 'passing' }) }
    }
  }
}

/** A type of lookup.nix in words. */
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
