import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { InvalidArgumentError } from 'commander'
import { NixeryError } from '../errors.ts'
import { checkOutputFile, checkWritable } from '../export/destination.ts'
import { reportingErrors } from '../export/errors.ts'
import { writeOutput, writeStdout } from '../fs/output.ts'
import { createGet, parseAddress, shown } from '../popcount/get.ts'
import { popcount, type Popcount, type Subject } from '../popcount/popcount.ts'
import { createRateMeter } from '../popcount/progress.ts'
import { defineCommand, type CommandContext } from './command.ts'

type Options = {
  readonly cache?: URL
  readonly storePaths?: string
  readonly output?: string
  readonly concurrency: number
  readonly cacheDirectory?: string
  readonly channelsUrl: URL
}

const defaultCache = 'https://cache.nixos.org'
const defaultChannels = 'https://channels.nixos.org'

export const setUp = defineCommand({
  usesFolders: false,
  interruptedHint: 'run the same command again to continue',
  declare: (command) =>
    command
      .argument(
        '[channel]',
        'a channel such as nixos-unstable; without one, name a binary cache with --cache',
      )
      .option('--cache <url>', `binary cache to read (default for a channel: ${defaultCache})`, address)
      .option(
        '--store-paths <file>',
        'file or URL of the list of store paths (default: store-paths.xz of the binary cache)',
      )
      .option(
        '--output <file>',
        'file to write, or - for standard output (default: popularity-<channel>-<commit>.json)',
      )
      .option('--concurrency <number>', 'maximum number of concurrent narinfo requests', concurrency, 40)
      .option(
        '--cache-directory <folder>',
        'folder to cache narinfos in, so that an interrupted run can resume',
      )
      .option('--channels-url <url>', 'URL of the channels', address, new URL(defaultChannels)),
  run,
})

async function run(context: CommandContext, options: Options, channel: string | undefined): Promise<void> {
  const { progress, signal } = context
  const subject = subjectOf(channel, options)
  const cache = options.cache ?? new URL(defaultCache)
  const toStdout = options.output === '-'
  if (context.json && toStdout) throw usage('--json and --output - both write to standard output')
  const given = options.output === undefined || toStdout ? undefined : resolve(options.output)
  // Fail now rather than after an hour.
  if (given !== undefined) await checkOutputFile(given)
  else if (!toStdout) await checkWritable(resolve('.'))
  const cacheDirectory = options.cacheDirectory ?? join(context.config().NIXERY_CACHE, 'popcount')

  const measure = createRateMeter()
  const result = await popcount({
    subject,
    cache,
    cacheDirectory: resolve(cacheDirectory),
    concurrency: options.concurrency,
    get: createGet(),
    signal,
    note: progress.note,
    onProgress: (tally, total) => progress.emit({ type: 'reading', ...measure(tally, total) }),
  })
  for (const line of unreadLines(result)) progress.note(line)

  const output = toStdout ? '-' : (given ?? resolve(nameOf(channel, result.commit, cache)))
  const bytes = [Buffer.from(result.text)]
  await reportingErrors(toStdout ? 'standard output' : output, () =>
    toStdout ? writeStdout(bytes, signal) : writeOutput(output, bytes, signal),
  )
  const { commit, paths, invalid, names, tally } = result
  const { kept, fetched } = tally
  const read = `${kept + fetched} of ${paths} narinfos read, ${fetched} of them fetched in this run`
  progress.done(toStdout ? read : `${read}; ${output} written`)
  if (toStdout) return
  const seconds = context.seconds()
  context.print({ channel, commit, cache: shown(cache), output, paths, invalid, ...tally, names, seconds })
}

function subjectOf(channel: string | undefined, { cache, storePaths, channelsUrl }: Options): Subject {
  if (channel !== undefined) {
    if (storePaths !== undefined) {
      throw usage('a channel has its own list: --store-paths can only be used with --cache')
    }
    return { channel, site: channelsUrl }
  }
  if (cache === undefined) throw usage('name a channel, or a binary cache with --cache')
  if (storePaths === undefined) return { storePaths: undefined }
  const isAddress = /^[a-z0-9+.-]+:\/\//i.test(storePaths)
  return { storePaths: isAddress ? parseAddress(storePaths) : pathToFileURL(resolve(storePaths)) }
}

const usage = (message: string) =>
  new NixeryError('CONFIG_INVALID', message, { hint: 'see nixery popcount --help' })

function address(text: string): URL {
  try {
    return parseAddress(text)
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : '')
  }
}

function concurrency(text: string): number {
  const number = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= 1000) return number
  throw new InvalidArgumentError('must be a number from 1 to 1000')
}

/** Names the file after the channel, as the original does, or after the binary cache. */
function nameOf(channel: string | undefined, commit: string | undefined, cache: URL): string {
  if (channel !== undefined) return `popularity-${channel}-${commit}.json`
  const label = `${cache.host}${cache.pathname}`.replace(/[^0-9A-Za-z.-]+/g, '_').replace(/^_|_$/g, '')
  return `popularity-${label}.json`
}

/** Lists what could not be read, and why. */
function unreadLines({ tally, invalid, examples }: Popcount): string[] {
  const { missing, broken, failed } = tally
  const counts = [
    [missing, 'not in the cache'],
    [broken, 'broken'],
    [failed, 'could not be fetched'],
  ] as const
  const unread = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return [
    ...(unread.length > 0 ? [`not read: ${unread.join(', ')}; for example`] : []),
    ...examples.map((example) => `  ${example}`),
    ...(invalid > 0 ? [`${invalid} lines of the list are not store paths`] : []),
  ]
}
