import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Catalog, ResolutionKey } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import { keyOf } from '../image/canonical.ts'
import type { Platform } from '../image/platform.ts'
import { partsOfName } from '../image/spelling.ts'
import type { LookupResult, SetPolicy } from '../nix/evaluate.ts'
import type { Nix } from '../nix/nix.ts'
import type { NameFilter } from '../packages/policy.ts'
import { refuse } from '../packages/refusals.ts'
import { stateOf, type PinnedSet } from '../packages/source.ts'
import { packagesOf, type DecidedRequest, type ImagePackage } from '../packages/image-packages.ts'
import { denied as deniedResolution } from './resolution-of.ts'
import type { ResolvedPackage } from '../packages/resolution.ts'

export type DeniedDerivationsDeps = {
  readonly catalog: Pick<Catalog, 'resolutions' | 'rememberResolutions'>
  readonly nix: Pick<Nix, 'evaluate'>
  readonly policy: SetPolicy
  /** Names of packages that are denied: the patterns of NIXERY_DENY without `*`. */
  readonly names: readonly string[]
  /** Receives a line for each name whose derivation cannot be determined. */
  readonly warn: (line: string) => void
  /** Adds work to do after the response. */
  readonly later: (work: Promise<unknown>) => void
}

/** Whether a package is denied under another name. */
export type IsDenied = (found: Pick<ResolvedPackage, 'drvPath' | 'outputs'>) => boolean

const denied = z.array(z.object({ drvPath: z.string(), outputPath: z.string().optional() }))
type Denied = z.infer<typeof denied>
type Evaluated = { readonly found: Denied; readonly isLasting: boolean }

// How many revisions and platforms are kept in memory, and when a temporary failure is retried (ms).
const maxKept = 100
const retryAfter = 10 * 60_000

/**
 * Finds the derivations of denied names, once for each revision and platform. Nothing is built during evaluation, so
 * import-from-derivation of a denied package never runs. A name that cannot be evaluated is logged, and denies no others.
 * @returns a function that throws the errors of evaluation, except those about time and memory; undefined if no names are
 *   denied
 */
export function deniedDerivations({
  catalog,
  nix,
  policy,
  names,
  warn,
  later,
}: DeniedDerivationsDeps): ((pinned: PinnedSet, platform: Platform) => Promise<IsDenied>) | undefined {
  if (names.length === 0) return undefined
  const kept = new LRUCache<string, { readonly found: Promise<Denied> }>({ max: maxKept })

  async function evaluate(key: ResolutionKey, pinned: PinnedSet, platform: Platform): Promise<Evaluated> {
    const remembered = (await catalog.resolutions([key], parseDenied)).get(key)
    if (remembered) return { found: remembered, isLasting: true }
    const lookUp = {
      set: pinned.set,
      revision: stateOf(pinned),
      ...policy,
      system: platform.system,
      attributes: names.map(partsOfName),
      importFromDerivation: false,
      meta: false,
    }
    const answers = await nix.evaluate(lookUp, {})
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'failed') warnUnknown(names[index] ?? '', platform, answer.message)
    }
    const found = answers.flatMap(deniedBy)
    if (answers.some(isTemporary)) return { found, isLasting: false }
    const remember = async () => {
      if (!(await pinned.unchanged())) return
      await catalog.rememberResolutions(new Map([[key, found]]), pinned.revision)
    }
    later(remember())
    return { found, isLasting: true }
  }

  const warnUnknown = (name: string, platform: Platform, reason: string) =>
    warn(
      `NIXERY_DENY: cannot determine the derivation of ${name} on ${platform.architecture}, ` +
        `so its other names are not denied:\n${reason}`,
    )

  const find = (pinned: PinnedSet, platform: Platform): Promise<Denied> => {
    const key = keyOf('denied-derivations', 1, {
      revision: pinned.revision,
      system: platform.system,
      names,
      policy,
    })
    const state = `${stateOf(pinned)} ${key}`
    const known = kept.get(state)
    if (known) return known.found
    const found = evaluate(key, pinned, platform)
      .catch((error: unknown) => {
        if (!hasCode(error, 'EVALUATION_TIMEOUT', 'BUILD_FAILED')) throw error
        warnUnknown(names.join(', '), platform, error.message)
        return { found: [], isLasting: false }
      })
      .then(
        (evaluated) => {
          if (!evaluated.isLasting) kept.set(state, entry, { ttl: retryAfter })
          return evaluated.found
        },
        (error: unknown) => {
          if (kept.get(state) === entry) kept.delete(state)
          throw error
        },
      )
    const entry = { found }
    kept.set(state, entry)
    return found
  }

  return async (pinned, platform) => {
    const found = await find(pinned, platform)
    const derivations = new Set(found.flatMap((one) => (one.outputPath === undefined ? [one.drvPath] : [])))
    const outputs = new Set(found.map(({ outputPath }) => outputPath))
    return (asked) =>
      derivations.has(asked.drvPath) || asked.outputs.some(({ outputPath }) => outputs.has(outputPath))
  }
}

/** A failure because something would have to be built is lasting, because nothing is built here. */
const isTemporary = (answer: LookupResult): boolean =>
  answer.status === 'failed' && !answer.lasting && !answer.message.includes('allow-import-from-derivation')

/** The whole derivation, or, for a name that ends in an output, only that output. */
const deniedBy = (answer: LookupResult): Denied => {
  if (answer.status !== 'package') return []
  const { drvPath, outputs, path, packagePath } = answer
  return [path.length === packagePath.length ? { drvPath } : { drvPath, outputPath: outputs[0].outputPath }]
}

const parseDenied = (text: string): Denied | undefined => denied.safeParse(JSON.parse(text)).data

/** Refuses names that are denied as they are written, before anything is evaluated. @throws PACKAGE_DENIED */
export function refuseDenied(decided: DecidedRequest, filter: NameFilter): void {
  if (filter.inputs === undefined) return
  const isDenied = ({ need, names, implied }: ImagePackage) =>
    need === 'required' && !implied && names.every((name) => filter.denies(name))
  const lacking = packagesOf(decided).filter(isDenied)
  refuse(
    decided,
    lacking.map((wanted) => ({ ...wanted, found: deniedResolution })),
  )
}
