import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { messageOf, run, type RunOptions, type RunResult } from './process.ts'

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

/** A package set's folder, the system it is taken for, and names whose parts are separate. */
export type LookUp = {
  readonly set: string
  readonly system: string
  readonly attributes: readonly (readonly string[])[]
}

const storePath = z.string().transform((text) => parseStorePath(text))
const path = z.array(z.string())
const answer = z.object({
  names: z.int(),
  results: z.array(
    z.discriminatedUnion('status', [
      z.object({
        status: z.literal('package'),
        path,
        drvPath: storePath,
        outputPath: storePath,
        output: z.string().regex(/^[A-Za-z0-9_+.?=-]+$/),
        pname: z.string(),
        version: z.string(),
      }),
      z.object({ status: z.literal('missing'), path, siblings: z.array(z.string()) }),
      z.object({ status: z.literal('other'), path, type: z.string() }),
    ]),
  ),
})

const expression = fileURLToPath(new URL('evaluate.nix', import.meta.url))

/**
 * Looks names up in a package set and instantiates the packages found. One answer a name, in order.
 * One broken package fails the whole evaluation, so a failed one is done again name by name.
 * @throws SOURCE_INVALID when the set itself does not evaluate, EVALUATION_TIMEOUT, NIX_UNAVAILABLE, CANCELLED
 */
export async function evaluate(lookUp: LookUp, options: RunOptions): Promise<Looked[]> {
  const result = await evaluateOnce(lookUp, options)
  if (result.ok) return parseAnswer(result.stdout)

  const alone = await evaluateOnce({ ...lookUp, attributes: [] }, options)
  if (!alone.ok) throw brokenSet(alone)
  const looked: Looked[] = []
  for (const attribute of lookUp.attributes) {
    const one = await evaluateOnce({ ...lookUp, attributes: [attribute] }, options)
    looked.push(
      ...(one.ok ? parseAnswer(one.stdout) : [{ status: 'failed' as const, message: messageOf(one.lines) }]),
    )
  }
  return looked
}

async function evaluateOnce(lookUp: LookUp, options: RunOptions): Promise<RunResult> {
  const flags = ['--eval', '--strict', '--json', '--read-write-mode']
  const request = ['--argstr', 'request', JSON.stringify(lookUp)]
  const result = await run('nix-instantiate', [...flags, expression, ...request], options)
  if (result.ok || !result.timedOut) return result
  throw new NixeryError('EVALUATION_TIMEOUT', `evaluating took more than ${options.timeout / 1000} s`, {
    hint: 'the operator can raise NIXERY_EVAL_TIMEOUT',
  })
}

const parseAnswer = (stdout: string): Looked[] => answer.parse(JSON.parse(stdout)).results

const brokenSet = (result: Extract<RunResult, { ok: false }>) =>
  new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${messageOf(result.lines)}`, {
    hint: 'the operator must repair the package set',
  })
