import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import type { PackageVersion } from '../catalog/versions.ts'
import { NixeryError } from '../errors.ts'
import { reportingErrors } from '../export/errors.ts'
import { writeOutput, writeStdout } from '../fs/output.ts'
import { platforms } from '../image/platform.ts'
import type { History } from '../packages/source.ts'
import { counted, notEvaluated } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openWorkshop, type Workshop } from './compose.ts'
import { parseInterval, sampled } from './sampled.ts'

type Options = {
  readonly set?: string
  readonly from?: string
  readonly every: string
  readonly platform: string
  readonly import?: string
  readonly export?: string
}

export const setUp = defineCommand({
  usesFolders: true,
  interruptedHint: 'run the command again: commits that were indexed are not evaluated again',
  declare: (command) =>
    command
      .option('--set <name>', 'the package set (default: the first)')
      .option(
        '--from <commit>',
        'the oldest commit, branch or tag, or a date such as 2024-01-31: evaluates from there on',
      )
      .option('--every <interval>', 'evaluate one commit of each interval: 12h, 7d, 4w; 0 for all', '7d')
      .option('--platform <platform>', 'the platform to evaluate for: amd64 or arm64', 'amd64')
      .option('--import <file>', 'add versions from JSON lines; - for standard input')
      .option('--export <file>', 'write all versions as JSON lines; - for standard output'),
  run: index,
})

async function index(context: CommandContext, options: Options): Promise<void> {
  const { progress, signal } = context
  const what = [options.from, options.import, options.export].filter((each) => each !== undefined)
  if (what.length !== 1) throw invalid('one of --from, --import and --export is needed')
  const every = parseInterval(options.every)
  if (every === undefined)
    throw invalid(`--every: ${JSON.stringify(options.every)} is not an interval such as 7d`)
  const platform = Object.entries(platforms).find(([name]) => name === options.platform)?.[1]
  if (!platform) throw invalid(`--platform: must be one of ${Object.keys(platforms).join(', ')}`)
  const workshop = await openWorkshop(context.config(), {
    listener: progress.build,
    note: progress.note,
    signal,
  })
  try {
    const listing = workshop.listing(options.set)
    if (!listing) throw invalid(`there is no package set ${options.set}`)
    const { history } = listing.source
    if (!history) {
      throw new NixeryError(
        'SOURCE_INVALID',
        `${listing.source.description} has no commits to find versions in`,
        {
          hint: 'a git repository has them, a flake in one, and a channel with NIXERY_CHANNEL_COMMITS=on',
        },
      )
    }
    const { versions } = workshop
    if (options.export !== undefined) {
      let count = 0
      const lines = function* () {
        for (const version of versions.all(history.id)) {
          count += 1
          yield Buffer.from(`${JSON.stringify(version)}\n`)
        }
      }
      const file = options.export
      await reportingErrors(file, () =>
        file === '-' ? writeStdout(lines(), signal) : writeOutput(file, lines(), signal),
      )
      progress.done(`${counted(count, 'version')} written`)
      return
    }
    if (options.import !== undefined) {
      let read = 0
      let added = 0
      for await (const some of readLines(options.import)) {
        read += some.length
        added += versions.add(history.id, some)
      }
      context.print({ read, added })
      progress.done(`${counted(read, 'version')} read, ${added} of them new or of a newer commit`)
      return
    }
    await evaluateHistory(context, workshop, listing, history, {
      back: options.from ?? '',
      every,
      system: platform.system,
    })
  } finally {
    await workshop.close()
  }
}

async function evaluateHistory(
  context: CommandContext,
  { versions }: Workshop,
  listing: NonNullable<ReturnType<Workshop['listing']>>,
  history: History,
  { back, every, system }: { readonly back: string; readonly every: number; readonly system: string },
): Promise<void> {
  const { progress, signal } = context
  const date = /^\d{4}-\d{2}-\d{2}$/.test(back) ? Date.parse(`${back}T00:00:00Z`) / 1000 : NaN
  const commits = sampled(await commitsFrom(history, Number.isNaN(date) ? back : date), every)
  let evaluated = 0
  let added = 0
  const failed: string[] = []
  for (const { commit, at } of commits) {
    if (signal.aborted) throw new NixeryError('CANCELLED', 'interrupted')
    if (versions.isWhole(history.id, commit)) continue
    try {
      const listed = await listing.list(await listing.source.pin(commit), system)
      const rows = listed.versions.map((version) => ({ ...version, commit, at }))
      added += versions.add(history.id, rows)
      versions.noteWhole(history.id, commit)
      evaluated += 1
      const left = listed.failed.length === 0 ? '' : `, ${notEvaluated(listed.failed.length)}`
      progress.note(`${commit.slice(0, 12)}: ${counted(rows.length, 'package')}${left}`)
    } catch (error) {
      if (signal.aborted) throw error
      // Old revisions may refuse this Nix: continue with the others.
      progress.note(`${commit.slice(0, 12)}: ${error instanceof Error ? error.message : String(error)}`)
      failed.push(commit)
    }
  }
  context.print({ commits: commits.length, evaluated, added, failed })
  progress.done(
    `${counted(commits.length, 'commit')}, ${evaluated} evaluated, ${added} versions new or of a newer commit`,
  )
  if (commits.length > 0 && failed.length === commits.length) {
    throw new NixeryError('SOURCE_INVALID', 'no commit of the package set could be evaluated')
  }
}

async function commitsFrom(history: History, back: string | number) {
  try {
    return await history.commits(back)
  } catch (error) {
    if (!(error instanceof NixeryError && error.code === 'MANIFEST_UNKNOWN')) throw error
    throw new NixeryError(
      'MANIFEST_UNKNOWN',
      `the package set has no commit, branch or tag ${back} (--from)`,
      {
        cause: error,
      },
    )
  }
}

const line: z.ZodType<PackageVersion> = z.object({
  attribute: z.string().min(1).max(500),
  version: z.string().min(1).max(200),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  at: z.int().min(0),
})

/** Reads versions in the format of `--export`. @throws CONFIG_INVALID naming the first invalid line */
async function* readLines(file: string): AsyncGenerator<PackageVersion[]> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  let found: PackageVersion[] = []
  let number = 0
  try {
    for await (const text of createInterface({ input })) {
      number += 1
      if (text.trim() !== '') found.push(line.parse(JSON.parse(text)))
      if (found.length < perBatch) continue
      yield found
      found = []
    }
  } catch (cause) {
    const what = number === 0 ? 'cannot be read' : `line ${number} is not in the format of --export`
    throw new NixeryError('CONFIG_INVALID', `${file}: ${what}`, { cause })
  }
  yield found
}

const perBatch = 20_000

const invalid = (message: string) => new NixeryError('CONFIG_INVALID', message)
