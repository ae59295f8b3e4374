import { recipes } from '../src/image/recipes.ts'
import { ping, pull } from './client.ts'
import type { Context } from './context.ts'
import { childrenOf, logStarts, noneStarted } from './processes.ts'
import { sample, seeded } from './seed.ts'
import type { Server } from './serve.ts'

/** Packages of the demo set; each is pulled alone first, so that all is known of it. */
const known = [
  'git',
  'jq',
  'curl',
  'htop',
  'ripgrep',
  'sqlite',
  'python3',
  'vim',
  'rsync',
  'tmux',
  'wget',
  'strace',
]

/** What pulls of new combinations of these packages took. */
export type Combinations = {
  /** Milliseconds to the manifest, of combinations whose layers are made by the pull. */
  readonly layersNew: readonly number[]
  /** … whose layers exist already: the same packages, named one by one instead of by `shell`. */
  readonly layersKnown: readonly number[]
  /** Layers that were packed for each of the first kind, and all it has. */
  readonly packed: readonly number[]
  readonly layers: readonly number[]
  /** Starts of Nix's programs meanwhile, by their log. */
  readonly nixStarts: number
  /** Whether the kernel, too, knows of no process that the server started. */
  readonly noProcess: boolean
}

/** The pairs that are pulled: the same in every run. */
export function pairs(count: number): [string, string][] {
  const all = known.flatMap((a, index) => known.slice(index + 1).map((b): [string, string] => [a, b]))
  return sample(all, count, seeded(11))
}

/** Starts a server whose starts of Nix's programs are noted, and pulls each package alone. */
export async function serveKnown(context: Context, environment: Record<string, string>) {
  const starts = await logStarts(await context.folder('programs'))
  const server = await context.serve({ ...environment, ...starts.environment })
  await ping(server)
  for (const name of known) await pull(server, `shell/${name}`)
  return { server, starts }
}

/** Pulls new combinations of packages that `serveKnown` has pulled alone. */
export async function pullCombinations(
  { server, starts }: Awaited<ReturnType<typeof serveKnown>>,
  chosen: readonly (readonly [string, string])[],
  { signal }: Context,
): Promise<Combinations> {
  const [startsBefore, before] = [await starts.starts(), await childrenOf(server.pid)]
  const [layersNew, layersKnown]: [number[], number[]] = [[], []]
  const logged = (await server.log()).length
  for (const [a, b] of chosen) {
    signal.throwIfAborted()
    layersNew.push((await pull(server, `shell/${a}/${b}`)).ms)
  }
  const planned = await plannedSince(server, logged)
  for (const [a, b] of chosen) {
    signal.throwIfAborted()
    layersKnown.push((await pull(server, [...recipes.shell.packages, a, b].join('/'))).ms)
  }
  return {
    layersNew,
    layersKnown,
    packed: planned.map(({ layers, known: found }) => layers - found),
    layers: planned.map(({ layers }) => layers),
    nixStarts: (await starts.starts()).length - startsBefore.length,
    noProcess: noneStarted(before, await childrenOf(server.pid)),
  }
}

/** What the server says of the layers of each image since that line of its log. */
async function plannedSince(server: Server, line: number): Promise<{ layers: number; known: number }[]> {
  const log = (await server.log()).slice(line)
  return log
    .filter(({ msg }) => msg === 'layers planned')
    .map((entry) => ({ layers: Number(entry['layers']), known: Number(entry['known']) }))
}
