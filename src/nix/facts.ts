import { z } from 'zod'
import { byText, parseStorePath, type PathFacts } from '../image/store-path.ts'

const info = z.object({
  narHash: z.string(),
  narSize: z.int().nonnegative(),
  references: z.array(z.string()),
})
const listed = z.array(info.extend({ path: z.string() }))
const keyed = z.record(z.string(), info)
const versioned = z.object({ info: keyed })

/**
 * Parses what `nix path-info --json` prints. Its form has changed: up to 2.18 a list, then an object keyed by
 * path, and with `--json-format 2` one under `info` whose paths have no directory.
 */
export function parsePathInfo(text: string): PathFacts[] {
  const json: unknown = JSON.parse(text)
  const list = listed.safeParse(json)
  if (list.success) return list.data.map(({ path, ...rest }) => factsOf(path, rest))
  const wrapped = versioned.safeParse(json)
  const entries = wrapped.success ? wrapped.data.info : keyed.parse(json)
  return Object.entries(entries).map(([path, rest]) => factsOf(path, rest))
}

const factsOf = (path: string, { narHash, narSize, references }: z.infer<typeof info>): PathFacts => ({
  storePath: parseStorePath(absolute(path)),
  narHash,
  narSize,
  references: references.map((reference) => parseStorePath(absolute(reference))).sort(byText),
})

const absolute = (path: string): string => (path.startsWith('/') ? path : `/nix/store/${path}`)
