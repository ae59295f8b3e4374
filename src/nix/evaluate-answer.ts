import { z } from 'zod'
import type { License } from '../image/license.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { oneLine } from '../text/plain.ts'

/** The result of looking up a name. `path` is the real attribute path, as far as it exists. */
export type LookupResult =
  | {
      readonly status: 'package'
      readonly path: readonly string[]
      /** The attribute path of the package, without an output. */
      readonly packagePath: readonly string[]
      readonly drvPath: StorePath
      /** The output that the name selects; by default the default output first, then those that belong to it. */
      readonly outputs: readonly [Output, ...Output[]]
      readonly pname: string
      readonly version: string
      /** If two packages have the same file, the one with the lower number wins. nixpkgs' default is 5. */
      readonly priority: number
      readonly license: License | null
    }
  /** `siblings` are the names that exist at that place. */
  | { readonly status: 'missing'; readonly path: readonly string[]; readonly siblings: readonly string[] }
  /** The name exists but is not a package: `lambda`, `packages` (a set of packages), `set`, `string`, … */
  | { readonly status: 'other'; readonly path: readonly string[]; readonly type: string }
  /** The name leads beyond its limits (`LookUp`). */
  | { readonly status: 'denied'; readonly path: readonly string[] }
  /** `lasting`: every evaluation of this revision fails in the same way; see `lasting.ts`. */
  | { readonly status: 'failed'; readonly message: string; readonly lasting: boolean }

/** An output of a derivation. */
export type Output = { readonly output: string; readonly outputPath: StorePath }

// Untrusted text that is shown on pages and in logs and labels. lookup.nix has shortened it.
const shortText = z.string().transform((text) => oneLine(text, 200))

const license: z.ZodType<License> = z.lazy(() =>
  z.union([
    z.object({ text: shortText }),
    z.object({ spdxId: shortText.nullable(), name: shortText.nullable() }),
    z.object({ operator: z.string(), licenses: z.array(license.nullable()) }),
  ]),
)
/** The license of a package; null for none, and for one that cannot be read. */
export const licenseForm = license.nullable()

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
  license: licenseForm,
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

/** `thrown`: the reason is known only if the name is looked up alone. */
export type RawLookupResult = LookupResult | { readonly status: 'thrown' }

/**
 * Parses the output of lookup.nix: one result per attribute, in order.
 * @throws an Error if it does not have that form
 */
export function parseAnswer(text: string): RawLookupResult[] {
  const { results, siblings } = answer.parse(JSON.parse(text))
  return results.map((result) => {
    if (result.status === 'package') return packageOf(result)
    if (result.status !== 'missing') return result
    return { status: 'missing', path: result.path, siblings: siblings[result.place] ?? [] }
  })
}

const outputName = /^[0-9A-Za-z+._?=-]+$/

/** Checks a derivation: it may have values that Nix cannot build. */
function packageOf(found: z.infer<typeof derivation>): LookupResult {
  if (!found.outputs.every((each) => outputName.test(each.output)))
    return failed('its output has an invalid name', true)
  try {
    const drvPath = parseStorePath(found.drvPath)
    const parse = (each: z.infer<typeof output>): Output => ({
      output: each.output,
      outputPath: parseStorePath(each.outputPath),
    })
    const [first, ...others] = found.outputs
    return { ...found, drvPath, outputs: [parse(first), ...others.map(parse)] }
  } catch {
    return failed('its derivation or its output has no store path that is known before the build', true)
  }
}

/** The result for a name that fails to evaluate, with Nix's message. */
export const failed = (message: string, lasting: boolean): LookupResult => ({
  status: 'failed',
  message,
  lasting,
})
