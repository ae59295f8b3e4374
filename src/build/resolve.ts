import type { Catalog } from '../catalog/catalog.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Looked, SetPolicy } from '../nix/evaluate.ts'
import type { Nix } from '../nix/nix.ts'
import { refusalOf } from '../packages/policy.ts'
import { nearestNames } from '../packages/nearest.ts'
import {
  choosePackages,
  namesOf,
  parseResolution,
  resolutionKey,
  type Resolution,
  type ResolvedPackage,
} from '../packages/resolution.ts'
import type { PinnedSet } from '../packages/source.ts'
import type { Emit } from './events.ts'

export type ResolveDeps = {
  readonly catalog: Catalog
  readonly nix: Nix
  readonly policy: SetPolicy
  /** Whether an attribute may be in images here. */
  readonly allowed: (attribute: string) => boolean
}

/**
 * The packages that an image's names mean, in the image's order. Nix is asked only for names whose meaning in
 * this revision is not known; what it answers is remembered if the package set has not changed meanwhile.
 * @param options.again evaluates whatever is remembered: Nix has removed the derivations meanwhile
 * @throws PACKAGE_UNKNOWN, PACKAGE_INVALID, SOURCE_INVALID, EVALUATION_TIMEOUT, NIX_UNAVAILABLE, CANCELLED
 */
export async function resolve(
  { catalog, nix, policy, allowed }: ResolveDeps,
  request: ImageRequest,
  pinned: PinnedSet,
  { signal, emit, again = false }: { signal: AbortSignal; emit: Emit; again?: boolean },
): Promise<ResolvedPackage[]> {
  const started = performance.now()
  const { required, implied } = namesOf(request)
  const names = [...required, ...implied]
  const keyOfName = (name: string) => resolutionKey(pinned.revision, request.platform, name, policy)

  const remembered = again ? new Map<string, string>() : await catalog.resolutions(names.map(keyOfName))
  const resolutions = new Map<string, Resolution>()
  for (const name of names) {
    const text = remembered.get(keyOfName(name))
    if (text !== undefined) resolutions.set(name, parseResolution(text))
  }

  const unknown = names.filter((name) => !resolutions.has(name))
  if (unknown.length > 0) {
    const lookUp = {
      set: pinned.set,
      revision: pinned.revision,
      ...policy,
      system: request.platform.system,
      attributes: unknown.map((name) => name.split('.')),
    }
    if (again) nix.forget(pinned.revision)
    const looked = await nix.evaluate(lookUp, { signal, onLine: (line) => emit({ type: 'nix', line }) })
    const fresh = new Map<string, string>()
    for (const [index, name] of unknown.entries()) {
      const answer = looked[index]
      if (!answer) throw new Error(`Nix gave no answer for ${name}`)
      const resolution = resolutionOf(name, answer)
      resolutions.set(name, resolution)
      // A failed evaluation may be a passing one: a file that could not be fetched, memory that ran out.
      if (answer.status !== 'failed') fresh.set(keyOfName(name), JSON.stringify(resolution))
    }
    if (await pinned.unchanged()) await catalog.rememberResolutions(fresh)
    else nix.forget(pinned.revision)
  }

  for (const name of implied) {
    const found = resolutions.get(name)
    if (found?.status !== 'package')
      emit({ type: 'warning', message: `the package set has no usable ${name}: left out` })
  }
  for (const name of required) {
    const found = resolutions.get(name)
    if (found?.status !== 'package' || allowed(found.attribute)) continue
    resolutions.set(name, { status: 'denied', reason: 'is not served by this registry' })
  }
  const packages = choosePackages(request, resolutions)
  emit({
    type: 'resolved',
    packages: packages.map(({ attribute, version }) => `${attribute} ${version}`),
    names: names.length,
    evaluated: unknown.length,
    ms: performance.now() - started,
  })
  return packages
}

function resolutionOf(name: string, looked: Looked): Resolution {
  switch (looked.status) {
    case 'package': {
      const { drvPath, output, outputPath, pname, version } = looked
      return {
        status: 'package',
        attribute: looked.path.join('.'),
        drvPath,
        output,
        outputPath,
        pname,
        version,
      }
    }
    case 'missing': {
      const found = looked.path.length
      const wanted = name.split('.')[found] ?? ''
      const nearest = nearestNames(wanted, looked.siblings)
      return { status: 'missing', nearest: nearest.map((sibling) => [...looked.path, sibling].join('.')) }
    }
    case 'other': {
      const kind =
        looked.type === 'lambda'
          ? 'a function'
          : looked.type === 'set'
            ? 'a set of packages'
            : `a ${looked.type}`
      return { status: 'invalid', reason: `is ${kind}, not a package` }
    }
    case 'failed': {
      const refusal = refusalOf(looked.message)
      if (refusal !== undefined) return { status: 'denied', reason: refusal }
      return { status: 'invalid', reason: `does not evaluate:\n${looked.message}` }
    }
  }
}
