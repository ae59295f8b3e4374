import { recipes } from '../src/image/recipes.ts'
import { ping, pull } from './client.ts'
import type { Context } from './context.ts'
import { childrenOf, logStarts, noneStarted } from './processes.ts'
import { sample, seeded } from './seed.ts'
import type { Server } from './serve.ts'

/** Packages of the demo set. Each is pulled alone first, so that the server knows everything about it. */
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

/** Measurements of pulls of new combinations of these packages. */
export type Combinations = {
  /** Milliseconds to the manifest, for combinations whose new layers are packed during the pull. */
  readonly layersNew: readonly number[]
  /** The same for combinations whose layers exist: the same packages, listed one by one instead of by `shell`. */
  readonly layersKnown: readonly number[]
  /** Packed layers, and all layers, of each image of the first kind. */
  readonly packed: readonly number[]
  readonly layers: readonly number[]
  /** Nix programs started during the pulls, by their log. */
  readonly nixStarts: number
  /** Whether the kernel confirms that the server started no process. */
  readonly noProcess: boolean
}

/** The pairs to pull: the same in every run. */
export function pairs(count: number): [string, string][] {
  const all = known.flatMap((a, index) => known.slice(index + 1).map((b): [string, string] => [a, b]))
  return sample(all, count, seeded(11))
}

/** Starts a server, logs the Nix programs that it starts, and pulls each package alone. */
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

/** The number of layers of each image, from the server's log since the given line. */
async function plannedSince(server: Server, line: number): Promise<{ layers: number; known: number }[]> {
  const log = (await server.log()).slice(line)
  return log
    .filter(({ msg }) => msg === 'layers planned')
    .map((entry) => ({ layers: Number(entry['layers']), known: Number(entry['known']) }))
}
