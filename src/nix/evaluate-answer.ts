import { z } from 'zod'
import type { License } from '../image/license.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { oneLine } from '../text/plain.ts'

/** What a name turned out to be. `path` is the attribute's real name, as far as it was found. */
export type Looked =
  | {
      readonly status: 'package'
      readonly path: readonly string[]
      /** The path of the package, without an output at its end. */
      readonly packagePath: readonly string[]
      readonly drvPath: StorePath
      /** The one that the name says; where it says none, the default one first, and those that belong to it. */
      readonly outputs: readonly [Output, ...Output[]]
      readonly pname: string
      readonly version: string
      /** Where two packages have the same file, the lower one wins. nixpkgs' default is 5. */
      readonly priority: number
      readonly license: License | null
    }
  /** `siblings` are the names that there are instead. */
  | { readonly status: 'missing'; readonly path: readonly string[]; readonly siblings: readonly string[] }
  /** Something, but no package: `lambda`, `packages` (a set of them), `set`, `string`, … */
  | { readonly status: 'other'; readonly path: readonly string[]; readonly type: string }
  /** It lies beyond the limits that were set for it (`LookUp`). */
  | { readonly status: 'denied'; readonly path: readonly string[] }
  /** `lasting`: it fails in the same way whenever this revision is evaluated; see `lasting.ts`. */
  | { readonly status: 'failed'; readonly message: string; readonly lasting: boolean }

/** One of a derivation's outputs. */
export type Output = { readonly output: string; readonly outputPath: StorePath }

// Strangers' text, on its way to pages, logs and labels. lookup.nix has shortened it.
const shortText = z.string().transform((text) => oneLine(text, 200))

const license: z.ZodType<License> = z.lazy(() =>
  z.union([
    z.object({ text: shortText }),
    z.object({ spdxId: shortText.nullable(), name: shortText.nullable() }),
    z.object({ operator: z.string(), licenses: z.array(license.nullable()) }),
  ]),
)

const path = z.array(z.string())
const output = z.object({ output: z.string(), outputPath: z.string() })
const derivation = z.object({
  status: z.literal('package'),
  path,
  packagePath: path,
  drvPath: z.string(),
  outputs: z.tuple([output], output),
  pname: shortText,
  version: shortText,
  priority: z.int(),
  license: license.nullable(),
})
const answer = z.object({
  results: z.array(
    z.discriminatedUnion('status', [
      derivation,
      z.object({ status: z.literal('missing'), path, place: z.string() }),
      z.object({ status: z.literal('other'), path, type: z.string() }),
      z.object({ status: z.literal('denied'), path }),
      z.object({ status: z.literal('thrown') }),
    ]),
  ),
  siblings: z.record(z.string(), z.array(z.string())),
})

/** `thrown`: why is told only when it is asked for alone. */
export type Answered = Looked | { readonly status: 'thrown' }

/**
 * What lookup.nix says, checked. One answer an attribute, in order.
 * @throws an Error when it is not of that form
 */
export function parseAnswer(text: string): Answered[] {
  const { results, siblings } = answer.parse(JSON.parse(text))
  return results.map((result) => {
    if (result.status === 'package') return packageOf(result)
    if (result.status !== 'missing') return result
    return { status: 'missing', path: result.path, siblings: siblings[result.place] ?? [] }
  })
}

const outputName = /^[0-9A-Za-z+._?=-]+$/

/** What says that it is a derivation may still be something that Nix cannot be asked to build. */
function packageOf(found: z.infer<typeof derivation>): Looked {
  if (!found.outputs.every((each) => outputName.test(each.output)))
    return failed('its output has a name that Nix does not allow', true)
  try {
    const drvPath = parseStorePath(found.drvPath)
    const parse = (each: z.infer<typeof output>): Output => ({
      output: each.output,
      outputPath: parseStorePath(each.outputPath),
    })
    const [first, ...others] = found.outputs
    return { ...found, drvPath, outputs: [parse(first), ...others.map(parse)] }
  } catch {
    return failed('its derivation or its output is no store path that is known before the build', true)
  }
}

/** What is wrong with a name, as Nix says it. */
export const failed = (message: string, lasting: boolean): Looked => ({ status: 'failed', message, lasting })
