import { NixeryError } from '../errors.ts'
import type { NamePart } from '../image/spelling.ts'
import { failed, parseAnswer, type RawLookupResult, type LookupResult } from './evaluate-answer.ts'
import { evaluateExpression } from './expressions.ts'
import { isLasting } from './lasting.ts'
import { messageOf } from './message.ts'
import { run, type Failed, type RunOptions } from './process.ts'
import { modeOf, optionsOf, type Restriction, type SetReference } from './restriction.ts'
import { storeOptions } from './store-need.ts'

export type { LookupResult } from './evaluate-answer.ts'

/** Arguments of a package set like nixpkgs, besides the system. */
export type SetPolicy = {
  readonly config: Readonly<Record<string, boolean>>
  /** A Nix file with further configuration; `config` takes precedence. */
  readonly configFile?: string
  /** Files, or folders with a default.nix. */
  readonly overlays: readonly string[]
}

/** A lookup of names, split into parts, in a package set for one system. */
export type LookUp = Partial<SetPolicy> & {
  readonly set: SetReference
  /** If undefined, evaluation may read whatever this program can. */
  readonly restriction?: Restriction | undefined
  /**
   * What this set's evaluation may read, if that is not the same for all sets: these files and folders, or whatever this
   * program can. `createNix` makes `restriction` of it.
   */
  readonly readable?: readonly string[] | 'everything'
  /** Identifies the state of the set: a process that has loaded the same revision may be reused. If undefined, none may. */
  readonly revision?: string
  readonly system: string
  readonly attributes: readonly (readonly NamePart[])[]
  /**
   * How far names (parts joined by dots) may be followed; see `limits` in packages/policy.ts. If set, names are
   * restricted: nothing is evaluated except what they lead to.
   */
  readonly limits?: Readonly<Record<string, readonly number[]>>
  /** False: `meta` of packages is not evaluated, and each has its default output only. */
  readonly meta?: boolean
  /** False: import from derivation fails. Such a request gets a separate process. */
  readonly importFromDerivation?: boolean
  /** True: the request gets a separate process, which is not kept. */
  readonly alone?: boolean
  /** True: nothing is written to the Nix store, and evaluations that need one fail; see `storeless.ts`. */
  readonly storeless?: boolean
  /** True: the derivations of packages must be in the Nix store afterwards, because Nix has to build them. */
  readonly instantiated?: boolean
}

/** A lookup in a loaded package set. */
export type Question = Pick<LookUp, 'attributes' | 'limits'>

/**
 * Looks names up in a package set and instantiates the packages found. Returns one result per name, in order. All are
 * looked up at once; names that fail are looked up again one by one, since Nix reports only the first failure, and some
 * failures (a type error, `abort`) end the evaluation. A package whose meta ends the evaluation, or takes too much time or
 * memory, is looked up without it. `options.timeout` applies to the whole lookup, and once more to finding out whose meta
 * takes too much; `options.memory` to each process.
 * @param spent milliseconds of the timeout that have already passed
 * @throws SOURCE_INVALID if the set itself does not evaluate, EVALUATION_TIMEOUT, BUILD_FAILED if it needs too much
 *   memory, NIX_UNAVAILABLE, CANCELLED
 */
export async function evaluate(lookUp: LookUp, options: RunOptions, spent = 0): Promise<LookupResult[]> {
  let deadline = performance.now() + options.timeout - spent
  let patience = options.timeout
  const ask = (attributes: LookUp['attributes'], guarded: boolean, meta = lookUp.meta, most = patience) => {
    const remaining = Math.min(most, deadline - performance.now())
    const request = { ...lookUp, ...(meta !== undefined && { meta }), attributes, guarded }
    return askNix(request, Math.max(1, Math.ceil(remaining)), options)
  }

  const together = spent < options.timeout ? await ask(lookUp.attributes, true) : tooSlow
  if (!together.ok && takesTooMuch(together)) {
    if (lookUp.meta === false) throw tookTooMuch(together, options)
    const began = performance.now()
    deadline = began + options.timeout
    const bare = await ask(lookUp.attributes, true, false, options.timeout * bareShare)
    if (!bare.ok) throw tookTooMuch(together, options)
    const [only] = bare.answers
    if (bare.answers.length === 1 && only && only.status !== 'thrown') return [only]
    patience = Math.max((performance.now() - began) * 4, options.timeout * bareShare)
  } else if (!together.ok) {
    const nothing = await ask([], false)
    if (!nothing.ok) throw takesTooMuch(nothing) ? tookTooMuch(nothing, options) : brokenSet(nothing)
  }
  const looked: LookupResult[] = []
  for (const [index, attribute] of lookUp.attributes.entries()) {
    const found = together.ok ? together.answers[index] : undefined
    if (found && found.status !== 'thrown') {
      looked.push(found)
      continue
    }
    const thrown = found?.status === 'thrown'
    const alone = await ask([attribute], false)
    // A `throw` in meta is caught, but meta may also fail in other ways: try without it.
    const bare = alone.ok || thrown || lookUp.meta === false ? alone : await ask([attribute], false, false)
    if (!bare.ok && takesTooMuch(bare)) throw tookTooMuch(bare, options)
    const failing = alone.ok || takesTooMuch(alone) ? bare : alone
    const [answered] = bare.ok ? bare.answers : failing.ok ? [] : [failureOf(failing, thrown, lookUp.set)]
    if (!answered || answered.status === 'thrown') throw new Error('Nix gave no answer for a name')
    looked.push(answered)
  }
  return looked
}

/**
 * Without meta, a lookup must take at most this share of the time that was too short with it: on a busy machine, a package
 * must not lose what its meta says just because time was short.
 */
const bareShare = 1 / 4

const tooSlow: Failed = { ok: false, exitCode: undefined, timedOut: true, lines: [] }
export const takesTooMuch = ({ timedOut, tooLarge }: Failed): boolean => timedOut || tooLarge === true

function failureOf(result: Failed, thrown: boolean, set: LookUp['set']): LookupResult {
  const message = messageOf(result.lines)
  const folder = 'folder' in set ? set.folder : undefined
  // A killed process has no exit code, and may succeed the next time.
  return failed(message, result.exitCode !== undefined && isLasting(message, thrown, folder))
}

/** The argument `identity` of lookup.nix. */
export const identityFor = (of: Omit<LookUp, 'revision' | 'attributes'>) => ({
  set: of.set,
  system: of.system,
  config: of.config ?? {},
  configFile: of.configFile ?? null,
  overlays: of.overlays ?? [],
  mode: modeOf(of),
})

type Request = LookUp & { readonly guarded: boolean }

async function askNix(
  request: Request,
  timeout: number,
  options: RunOptions,
): Promise<{ ok: true; answers: RawLookupResult[] } | Failed> {
  const builds =
    request.importFromDerivation === false ? ['--option', 'allow-import-from-derivation', 'false'] : []
  const flags = ['--eval', '--strict', '--json', ...storeOptions(request), ...optionsOf(request), ...builds]
  const { attributes, limits, guarded, meta } = request
  const lookup = { ...identityFor(request), attributes, limits, guarded, meta }
  const argument = ['--argstr', 'request', JSON.stringify(lookup)]
  const result = await run('nix-instantiate', [...flags, '--expr', evaluateExpression, ...argument], {
    ...options,
    timeout,
  })
  return result.ok ? { ok: true, answers: parseAnswer(result.stdout) } : result
}

const brokenSet = (result: Failed) =>
  new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(result.lines)}`, {
    hint: 'the operator must fix the package set',
  })

/** The failure of an evaluation that took too much time or memory. */
export function tookTooMuch({ timedOut }: Failed, { timeout, memory = 0 }: RunOptions): NixeryError {
  if (timedOut) {
    return new NixeryError('EVALUATION_TIMEOUT', `evaluation took more than ${timeout / 1000} s`, {
      hint: 'the operator can raise NIXERY_EVAL_TIMEOUT',
    })
  }
  return new NixeryError(
    'BUILD_FAILED',
    `evaluation used more than ${Math.round(memory / 1e6)} MB of memory`,
    {
      hint: 'the operator can raise NIXERY_EVAL_MEMORY',
    },
  )
}
