import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { messageOf } from './message.ts'
import { run, type Failed, type RunOptions } from './process.ts'

/** What a name turned out to be. `path` is the attribute's real name, as far as it was found. */
export type Looked =
  | {
      readonly status: 'package'
      readonly path: readonly string[]
      readonly drvPath: StorePath
      readonly output: string
      readonly outputPath: StorePath
      readonly pname: string
      readonly version: string
    }
  /** `siblings` are the names that there are instead. */
  | { readonly status: 'missing'; readonly path: readonly string[]; readonly siblings: readonly string[] }
  /** Something, but no package: `lambda`, `set`, `string`, … */
  | { readonly status: 'other'; readonly path: readonly string[]; readonly type: string }
  | { readonly status: 'failed'; readonly message: string }

/** A package set: a folder with a default.nix, or a flake by a reference that is locked. */
export type SetReference = { readonly folder: string } | { readonly flake: string }

/** What a package set of nixpkgs' kind is called with besides the system. */
export type SetPolicy = {
  readonly config: Readonly<Record<string, boolean>>
  /** Files. */
  readonly overlays: readonly string[]
}

/** The package set, the system it is taken for, and names whose parts are separate. */
export type LookUp = Partial<SetPolicy> & {
  readonly set: SetReference
  readonly system: string
  readonly attributes: readonly (readonly string[])[]
}

const path = z.array(z.string())
const derivation = z.object({
  status: z.literal('package'),
  path,
  drvPath: z.string(),
  outputPath: z.string(),
  output: z.string(),
  pname: z.string(),
  version: z.string(),
})
const answer = z.object({
  results: z.array(
    z.discriminatedUnion('status', [
      derivation,
      z.object({ status: z.literal('missing'), path, place: z.string() }),
      z.object({ status: z.literal('other'), path, type: z.string() }),
      z.object({ status: z.literal('thrown') }),
    ]),
  ),
  siblings: z.record(z.string(), z.array(z.string())),
})

type Answered = Looked | { readonly status: 'thrown' }

const expression = fileURLToPath(new URL('evaluate.nix', import.meta.url))

/**
 * Looks names up in a package set and instantiates the packages found. One answer a name, in order. All are looked
 * up at once; those that fail again one by one, since Nix tells only of the first failure, and some (a type error,
 * `abort`) end everything. `options.timeout` is for all of it.
 * @throws SOURCE_INVALID when the set itself does not evaluate, EVALUATION_TIMEOUT, NIX_UNAVAILABLE, CANCELLED
 */
export async function evaluate(lookUp: LookUp, options: RunOptions): Promise<Looked[]> {
  const deadline = performance.now() + options.timeout
  const ask = (attributes: LookUp['attributes'], guarded: boolean) =>
    askNix({ ...lookUp, attributes, guarded }, deadline, options)

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
    const alone = await ask([attribute], false)
    const [answered] = alone.ok ? alone.answers : [failed(messageOf(alone.lines))]
    if (!answered || answered.status === 'thrown') throw new Error('Nix gave no answer for a name')
    looked.push(answered)
  }
  return looked
}

type Request = LookUp & { readonly guarded: boolean }

async function askNix(
  request: Request,
  deadline: number,
  options: RunOptions,
): Promise<{ ok: true; answers: Answered[] } | Failed> {
  const flakes = 'flake' in request.set ? ['--extra-experimental-features', 'flakes'] : []
  const flags = ['--eval', '--strict', '--json', '--read-write-mode', ...flakes]
  const argument = ['--argstr', 'request', JSON.stringify(request)]
  const timeout = Math.max(1, Math.ceil(deadline - performance.now()))
  const result = await run('nix-instantiate', [...flags, expression, ...argument], { ...options, timeout })
  if (result.ok) return { ok: true, answers: parseAnswer(result.stdout) }
  if (!result.timedOut) return result
  throw new NixeryError('EVALUATION_TIMEOUT', `evaluating took more than ${options.timeout / 1000} s`, {
    hint: 'the operator can raise NIXERY_EVAL_TIMEOUT',
  })
}

function parseAnswer(stdout: string): Answered[] {
  const { results, siblings } = answer.parse(JSON.parse(stdout))
  return results.map((result) => {
    if (result.status === 'package') return packageOf(result)
    if (result.status !== 'missing') return result
    return { status: 'missing', path: result.path, siblings: siblings[result.place] ?? [] }
  })
}

const outputName = /^[0-9A-Za-z+._?=-]+$/

/** What says that it is a derivation may still be something that Nix cannot be asked to build. */
function packageOf(found: z.infer<typeof derivation>): Looked {
  if (!outputName.test(found.output)) return failed('its output has a name that Nix does not allow')
  try {
    const drvPath = parseStorePath(found.drvPath)
    return { ...found, drvPath, outputPath: parseStorePath(found.outputPath) }
  } catch {
    return failed('its derivation or its output is no store path that is known before the build')
  }
}

const failed = (message: string): Looked => ({ status: 'failed', message })

const brokenSet = (result: Failed) =>
  new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(result.lines)}`, {
    hint: 'the operator must repair the package set',
  })
