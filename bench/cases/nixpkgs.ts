import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { atMost, atMostTimes, type Case, type Row } from '../case.ts'
import { ping, pull, pullWhenReady } from '../client.ts'
import type { Context } from '../context.ts'
import type { Server } from '../serve.ts'
import { ensureTree, nameOf, nixpkgsSize } from '../tree.ts'

/** The pause between two pulls of a client, in ms: longer than the server trusts that a folder is unchanged. */
const pause = 6_000
const together = 20

type Source = { readonly name: string; readonly environment: Readonly<Record<string, string>> }
type Measured = { again: number[]; rested: number; alone: number[]; together: number }

export const nixpkgs: Case = {
  name: 'nixpkgs',
  what:
    `A package set with the size of nixpkgs (${nixpkgsSize.entries} entries, ${nixpkgsSize.names} names; packages that ` +
    `need only a shell), as a folder and as a git repository. A cached image every ${pause / 1000} s; the first pull ` +
    'after a pause, when the server’s check of the folder is out of date; new names one by one, and ' +
    `${together} at once, each until its manifest, built and packed. The server is new and has served one pull.`,
  async run(context): Promise<Row[]> {
    const size = context.quick ? { names: 300, entries: 1_000 } : nixpkgsSize
    context.say('writing the tree')
    const tree = await ensureTree(size)
    const repository = await repositoryOf(tree, await context.folder('repository'))
    const folder = await measure(context, size.names, {
      name: 'folder',
      environment: { NIXERY_PKGS_PATH: tree },
    })
    const git = await measure(context, size.names, {
      name: 'git',
      environment: { NIXERY_PKGS_REPO: repository, NIXERY_PKGS_PATH: '' },
    })
    const floor = (values: readonly number[]) => [{ name: 'a git source', values }]
    return [
      {
        name: `folder: a cached image every ${pause / 1000} s, the slowest`,
        unit: 'ms',
        values: [Math.max(...folder.again)],
        floors: floor([Math.max(...git.again)]),
        target: atMost(10),
        note: `of ${folder.again.length} pulls`,
      },
      {
        name: 'folder: the first pull after a pause',
        unit: 'ms',
        values: [folder.rested],
        target: atMost(800),
      },
      { name: 'folder: a new name', unit: 'ms', values: folder.alone, floors: floor(git.alone) },
      {
        name: `folder: ${together} new names at once, to the last manifest`,
        unit: 'ms',
        values: [folder.together],
        floors: floor([git.together]),
        target: atMostTimes(3),
      },
    ]
  },
}

async function measure(context: Context, names: number, source: Source): Promise<Measured> {
  const data = await context.folder('data')
  const { NIXERY_PKGS_PATH: _, ...others } = context.environment(data)
  const given = { ...others, ...source.environment, NIXERY_PATH_STALE: String(stale) }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''))
  const server = await context.serve(set)
  await ping(server)
  // Different names for each source, so that none benefits from the other's builds.
  const offset = source.name === 'git' ? 1 : 0
  let used = 0
  const next = () => nameOf(((used += 1) * 2 + offset) % names)
  const known = next()
  context.say(`${source.name}: the first pull`)
  await pullWhenReady(server, known, context)

  const alone: number[] = []
  for (let count = 0; count < (context.quick ? 3 : 10); count++) {
    context.say(`${source.name}: a new name`)
    alone.push((await pull(server, next())).ms)
  }
  const again: number[] = []
  for (let count = 0; count < (context.quick ? 2 : 20); count++) {
    context.say(`${source.name}: a cached image every ${pause / 1000} s, ${count + 1}`)
    await rest(pause, context)
    again.push(await timed(server, known))
  }
  context.say(`${source.name}: after a pause`)
  await rest((stale + 1) * 1000, context)
  const rested = await timed(server, known)
  context.say(`${source.name}: ${together} new names at once`)
  const started = performance.now()
  await Promise.all(Array.from({ length: together }, () => pull(server, next())))
  const ms = performance.now() - started
  await server.stop()
  return { again, rested, alone, together: ms }
}

/** NIXERY_PATH_STALE of these servers, in seconds. A longer pause makes no difference. */
const stale = 10

const rest = (ms: number, { signal }: Context) => sleep(ms, undefined, { signal })
const timed = async (server: Server, name: string): Promise<number> => (await pull(server, name)).ms

/** Makes a repository with one commit of the same files. */
async function repositoryOf(tree: string, folder: string): Promise<string> {
  const git = (...args: string[]) =>
    execa('git', ['--git-dir', join(folder, '.git'), '--work-tree', tree, ...args])
  await execa('git', ['init', '-q', folder])
  await git('add', '.')
  await git('-c', 'user.name=bench', '-c', 'user.email=bench@example.org', 'commit', '-qm', 'tree')
  return `file://${folder}`
}
