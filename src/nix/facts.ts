import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import { byText, parseStorePath, type PathFacts, type StorePath } from '../image/store-path.ts'
import { messageOf } from './message.ts'
import { run, type RunOptions } from './process.ts'

const info = z.object({
  narHash: z.string().regex(/^sha256-[0-9A-Za-z+/]{43}=$/),
  narSize: z.int().nonnegative(),
  references: z.array(z.string()),
})
type Info = z.infer<typeof info>

const listed = z
  .array(info.extend({ path: z.string() }))
  .transform((list) => list.map(({ path, ...rest }): [string, Info] => [path, rest]))
const keyed = z.record(z.string(), info).transform((record) => Object.entries(record))
const versioned = z.object({ info: keyed }).transform((whole) => whole.info)
const anyForm = z.union([listed, versioned, keyed])

/**
 * Queries Nix for the facts of all paths in the closure of these.
 * @throws BUILD_FAILED for a path that is not valid
 */
export async function closureFacts(paths: readonly StorePath[], options: RunOptions): Promise<PathFacts[]> {
  const command = ['--extra-experimental-features', 'nix-command', 'path-info', '--json']
  const ask = (...flags: string[]) => run('nix', [...command, ...flags, '--recursive', ...paths], options)
  let result = await ask()
  // Older versions do not know the flag, and future ones will require it.
  if (!result.ok && result.lines.some((line) => line.includes('--json-format')))
    result = await ask('--json-format', '1')
  if (result.ok) return parsePathInfo(result.stdout)
  throw new NixeryError('BUILD_FAILED', `Nix cannot read its own store paths:\n${messageOf(result.lines)}`)
}

/**
 * Parses the output of `nix path-info --json`. Its format depends on the version: up to 2.18 a list, then an object
 * keyed by path, and with `--json-format 2` an object under `info` whose paths have no directory.
 * @throws BUILD_FAILED for a path that Nix does not know
 */
export function parsePathInfo(text: string): PathFacts[] {
  const parsed = anyForm.safeParse(JSON.parse(text))
  if (parsed.success) return parsed.data.map(factsOf)
  throw new NixeryError('BUILD_FAILED', 'Nix does not know store paths that it has just built', {
    cause: parsed.error,
    hint: 'the operator can check the store with: nix-store --verify --check-contents',
  })
}

const factsOf = ([path, { narHash, narSize, references }]: [string, Info]): PathFacts => ({
  storePath: parseStorePath(absolute(path)),
  narHash,
  narSize,
  references: references.map((reference) => parseStorePath(absolute(reference))).sort(byText),
})

const absolute = (path: string): string => (path.startsWith('/') ? path : `/nix/store/${path}`)
