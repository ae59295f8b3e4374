import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { isStorePath, parseStorePath, type StorePath } from '../image/store-path.ts'
import { identityFor, takesTooMuch, tookTooMuch, type LookUp } from './evaluate.ts'
import { evaluateExpression } from './expressions.ts'
import { messageOf } from './message.ts'
import { run, type RunOptions } from './process.ts'
import type { WantedOutput } from './realise.ts'
import { optionsOf } from './restriction.ts'
import { configuredStore, type StoreOptions } from './scratch-store.ts'

/** A recipe of a package set, `images.NAME`; without a name, the names of all. */
export type ImageLookUp = Omit<LookUp, 'attributes' | 'limits' | 'meta'> & {
  readonly image: string | undefined
}

export type ImageAnswer =
  | { readonly names: readonly string[] }
  | { readonly missing: true }
  /** `message` is Nix's. */
  | { readonly failed: string }
  /** As JSON, with store paths in place of paths and derivations; and what strings refer to. */
  | { readonly recipe: unknown; readonly roots: readonly WantedOutput[] }

const context = z.object({
  outputs: z.array(z.string()).optional(),
  path: z.boolean().optional(),
  allOutputs: z.boolean().optional(),
})
const answer = z.object({
  names: z.array(z.string()).optional(),
  recipe: z.unknown().optional(),
  contexts: z.array(z.record(z.string(), context)).optional(),
})

/**
 * Evaluates a recipe in a separate process.
 * @param store options for another store than the configured one
 * @throws EVALUATION_TIMEOUT, BUILD_FAILED if it needs too much memory, NIX_UNAVAILABLE, CANCELLED
 */
export async function evaluateImage(
  lookUp: ImageLookUp,
  options: RunOptions,
  store: StoreOptions = configuredStore,
): Promise<ImageAnswer> {
  const request = JSON.stringify({ ...identityFor(lookUp), image: lookUp.image ?? null })
  const flags = [
    '--eval',
    '--strict',
    '--json',
    '--read-write-mode',
    ...store.evaluation,
    ...optionsOf(lookUp),
  ]
  const result = await run(
    'nix-instantiate',
    [...flags, '--expr', evaluateExpression, '--argstr', 'request', request],
    options,
  )
  if (!result.ok) {
    if (takesTooMuch(result)) throw tookTooMuch(result, options)
    return { failed: messageOf(result.lines) }
  }
  const { names, recipe, contexts } = answer.parse(JSON.parse(result.stdout))
  if (names) return { names }
  if (!contexts) return { missing: true }
  return { recipe, roots: await rootsOf(contexts, options, store) }
}

/** The store paths that strings refer to. A derivation does not say where its outputs are, but Nix does. */
async function rootsOf(
  contexts: readonly Readonly<Record<string, z.infer<typeof context>>>[],
  options: RunOptions,
  { store }: StoreOptions,
): Promise<WantedOutput[]> {
  const paths = new Set<StorePath>()
  const byOutput = new Map<string, Set<StorePath>>()
  for (const [path, { outputs = [], path: isPath }] of contexts.flatMap((each) => Object.entries(each))) {
    if (isPath === true && isStorePath(path)) paths.add(path)
    for (const output of outputs) {
      const derivations = byOutput.get(output) ?? new Set()
      byOutput.set(output, derivations.add(parseStorePath(path)))
    }
  }
  const roots: WantedOutput[] = [...paths].map((outputPath) => ({ outputPath }))
  for (const [output, derivations] of byOutput) {
    const query = [...store, '--query', '--binding', output, ...derivations]
    const result = await run('nix-store', query, options)
    if (!result.ok)
      throw new NixeryError('BUILD_FAILED', `Nix cannot read a derivation:\n${messageOf(result.lines)}`)
    const lines = result.stdout.trim().split('\n')
    for (const [index, drvPath] of [...derivations].entries()) {
      roots.push({ drvPath, output, outputPath: parseStorePath(lines[index] ?? '') })
    }
  }
  return roots
}
