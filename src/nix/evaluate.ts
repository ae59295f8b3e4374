import { NixeryError } from '../errors.ts'
import type { Part } from '../image/spelling.ts'
import { failed, parseAnswer, type Answered, type Looked } from './evaluate-answer.ts'
import { evaluateExpression } from './expressions.ts'
import { isLasting } from './lasting.ts'
import { messageOf } from './message.ts'
import { run, type Failed, type RunOptions } from './process.ts'
import { modeOf, optionsOf, type Restriction, type SetReference } from './restriction.ts'

export type { Looked } from './evaluate-answer.ts'

/** What a package set of nixpkgs' kind is called with besides the system. */
export type SetPolicy = {
  readonly config: Readonly<Record<string, boolean>>
  /** A file with more of it, in Nix, which `config` is put over. */
  readonly configFile?: string
  /** Files, or folders with a default.nix. */
  readonly overlays: readonly string[]
}

/** The package set, the system it is taken for, and names whose parts are separate. */
export type LookUp = Partial<SetPolicy> & {
  readonly set: SetReference
  /** Without, evaluation may read whatever this program can. */
  readonly restriction?: Restriction | undefined
  /** What the set is while this text is the same: a process that has it loaded may answer. Without, none may. */
  readonly revision?: string
  readonly system: string
  readonly attributes: readonly (readonly Part[])[]
  /**
   * How far names (parts joined by dots) may be followed; see `limits` in packages/policy.ts. Given, it also says that
   * names are restricted: nothing is evaluated but what they lead to.
   */
  readonly limits?: Readonly<Record<string, readonly number[]>>
  /** False: nothing that packages say of themselves is evaluated, and each has its default output alone. */
  readonly meta?: boolean
  /** False: what must be built to be evaluated fails instead. Such a request is answered by a process of its own. */
  readonly importFromDerivation?: boolean
}

/** What is asked of one package set that is loaded. */
export type Question = Pick<LookUp, 'attributes' | 'limits'>

/**
 * Looks names up in a package set and instantiates the packages found. One answer a name, in order. All are looked
 * up at once; those that fail again one by one, since Nix tells only of the first failure, and some (a type error,
 * `abort`) end everything. A package whose meta ends everything is looked up without it. `options.timeout` is for all
 * of it, `options.memory` for each process.
 * @param spent milliseconds of that time that are gone
 * @throws SOURCE_INVALID when the set itself does not evaluate, EVALUATION_TIMEOUT, BUILD_FAILED when it takes too
 *   much memory, NIX_UNAVAILABLE, CANCELLED
 */
export async function evaluate(lookUp: LookUp, options: RunOptions, spent = 0): Promise<Looked[]> {
  const deadline = performance.now() + options.timeout - spent
  const ask = (attributes: LookUp['attributes'], guarded: boolean, meta = lookUp.meta) =>
    askNix({ ...lookUp, ...(meta !== undefined && { meta }), attributes, guarded }, deadline, options)

  const together = await ask(lookUp.attributes, true)
  if (!together.ok) {
    const nothing = await ask([], false)
    if (!nothing.ok) throw brokenSet(nothing)
  }
  const looked: Looked[] = []
  for (const [index, attribute] of lookUp.attributes.entries()) {
    const found = together.ok ? together.answers[index] : undefined
    if (found && found.status !== 'thrown') {
      looked.push(found)
      continue
    }
    const thrown = found?.status === 'thrown'
    const alone = await ask([attribute], false)
    // What meta throws has no effect; this failure may be of another kind, and of meta.
    const bare = alone.ok || thrown || lookUp.meta === false ? alone : await ask([attribute], false, false)
    const [answered] = alone.ok ? alone.answers : bare.ok ? bare.answers : [failureOf(alone, thrown)]
    if (!answered || answered.status === 'thrown') throw new Error('Nix gave no answer for a name')
    looked.push(answered)
  }
  return looked
}

function failureOf(result: Failed, thrown: boolean): Looked {
  const message = messageOf(result.lines)
  // A process that was killed has no exit code.
  return failed(message, result.exitCode !== undefined && isLasting(message, thrown))
}

/** What Nix is told of a package set; see lookup.nix. */
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
  deadline: number,
  options: RunOptions,
): Promise<{ ok: true; answers: Answered[] } | Failed> {
  const builds =
    request.importFromDerivation === false ? ['--option', 'allow-import-from-derivation', 'false'] : []
  const flags = ['--eval', '--strict', '--json', '--read-write-mode', ...optionsOf(request), ...builds]
  const { attributes, limits, guarded, meta } = request
  const asked = { ...identityFor(request), attributes, limits, guarded, meta }
  const argument = ['--argstr', 'request', JSON.stringify(asked)]
  const timeout = Math.max(1, Math.ceil(deadline - performance.now()))
  const result = await run('nix-instantiate', [...flags, '--expr', evaluateExpression, ...argument], {
    ...options,
    timeout,
  })
  if (result.ok) return { ok: true, answers: parseAnswer(result.stdout) }
  if (result.timedOut) throw tookTooLong(options.timeout)
  if (result.tooLarge) throw tookTooMuch(options.memory ?? 0)
  return result
}

const brokenSet = (result: Failed) =>
  new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(result.lines)}`, {
    hint: 'the operator must repair the package set',
  })

export const tookTooLong = (milliseconds: number): NixeryError =>
  new NixeryError('EVALUATION_TIMEOUT', `evaluating took more than ${milliseconds / 1000} s`, {
    hint: 'the operator can raise NIXERY_EVAL_TIMEOUT',
  })

const tookTooMuch = (bytes: number) =>
  new NixeryError('BUILD_FAILED', `evaluating took more than ${Math.round(bytes / 1e6)} MB of memory`, {
    hint: 'the operator can raise NIXERY_EVAL_MEMORY',
  })
