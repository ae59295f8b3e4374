import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { readConfig } from '../config.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { createGet, parseAddress, shown } from '../popcount/get.ts'
import { checkFolder, writeWhole } from '../popcount/output.ts'
import { popcount, type Popcount, type Subject } from '../popcount/popcount.ts'
import { createProgress, type ProgressStream } from '../popcount/progress.ts'

/** What the command reads and writes of its process. */
export type PopcountIo = {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: ProgressStream
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where a relative file name leads from. */
  readonly directory: string
  /** Gets the exit code of a run that did not succeed. */
  readonly fail: (exitCode: number) => void
}

type Flags = {
  readonly cache?: URL
  readonly storePaths?: string
  readonly output?: string
  readonly concurrency: number
  readonly cacheDirectory?: string
  readonly channelsUrl: URL
  readonly json?: boolean
}

const defaultCache = 'https://cache.nixos.org'
const defaultChannels = 'https://channels.nixos.org'

const exitCodesHelp = `
Exit codes:
    0  done, also when some narinfos were missing or broken, which is told
    1  nothing could be read, or the binary cache stopped answering
    2  usage, configuration or set-up
  130  interrupted (143 when ended by SIGTERM)
`

/** The command `nixery popcount`. Its exit codes are its own: there is no package that could be missing. */
export function popcountCommand(io: PopcountIo = ioOfProcess()): Command {
  const command = new Command('popcount')
    .description('count how often packages refer to each other, as popularity data for NIX_POPULARITY_URL')
    .argument('[channel]', 'a channel such as nixos-unstable; without one, name a binary cache with --cache')
    .option('--cache <url>', `binary cache to ask; for a channel ${defaultCache} if not given`, address)
    .option(
      '--store-paths <file>',
      'file or address with the paths to ask for; the cache’s store-paths.xz if not given',
    )
    .option(
      '--output <file>',
      'file to write, or - for standard output (default: popularity-<channel>-<commit>.json)',
    )
    .option('--concurrency <number>', 'narinfos that are read at once', concurrency, 40)
    .option(
      '--cache-directory <folder>',
      'folder where narinfos are kept, so that a run goes on where one was ended',
    )
    .option('--channels-url <url>', 'address below which the channels are', address, new URL(defaultChannels))
    .option('--json', 'write a summary as JSON to standard output')
    .addHelpText('after', exitCodesHelp)
    .showHelpAfterError()
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  return command.action(async (channel: string | undefined, flags: Flags) => {
    const stop = new AbortController()
    let killed: number | undefined
    // Only the first: a second one ends the process at once.
    const onSignal = (name: NodeJS.Signals) => {
      killed = name === 'SIGTERM' ? 143 : 130
      stop.abort(new NixeryError('CANCELLED', 'interrupted', { hint: 'the same command goes on from here' }))
    }
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
    try {
      await run(channel, flags, io, stop.signal)
    } catch (error) {
      // What a user can meet is told in a sentence; a bug with its stack.
      if (!(error instanceof NixeryError)) throw error
      const hint = error.hint === undefined ? '' : `  ${error.hint}\n`
      io.stderr.write(`nixery: ${error.message}\n${hint}`)
      io.fail(killed ?? (hasCode(error, 'CONFIG_INVALID', 'SETUP_FAILED') ? 2 : 1))
    } finally {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    }
  })
}

const ioOfProcess = (): PopcountIo => ({
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  directory: process.cwd(),
  fail(exitCode) {
    process.exitCode = exitCode
  },
})

async function run(
  channel: string | undefined,
  flags: Flags,
  io: PopcountIo,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now()
  const subject = subjectOf(channel, flags, io.directory)
  const cache = flags.cache ?? new URL(defaultCache)
  if (flags.json === true && flags.output === '-')
    throw usage('--json and --output - both write to standard output')
  const given =
    flags.output === undefined || flags.output === '-' ? undefined : resolve(io.directory, flags.output)
  // Better now than after an hour.
  await checkFolder(given ? dirname(given) : io.directory)

  const progress = createProgress(io.stderr)
  let result: Popcount
  try {
    result = await popcount({
      subject,
      cache,
      cacheDirectory: resolve(
        io.directory,
        flags.cacheDirectory ?? join(readConfig(io.environment).NIXERY_CACHE, 'popcount'),
      ),
      concurrency: flags.concurrency,
      get: createGet(),
      signal,
      note: progress.line,
      onProgress: progress.update,
    })
  } finally {
    progress.stop()
  }
  report(result, io.stderr)

  if (flags.output === '-') {
    io.stdout.write(result.text)
    return
  }
  const output = given ?? join(io.directory, nameOf(channel, result.commit, cache))
  await writeWhole(output, result.text)
  io.stderr.write(`${output} written\n`)
  if (flags.json !== true) return
  const { commit, paths, invalid, names, tally } = result
  const seconds = Math.round((performance.now() - started) / 100) / 10
  const summary = { channel, commit, cache: shown(cache), output, paths, invalid, ...tally, names, seconds }
  io.stdout.write(`${JSON.stringify(summary)}\n`)
}

function subjectOf(channel: string | undefined, flags: Flags, directory: string): Subject {
  if (channel !== undefined) {
    if (flags.storePaths !== undefined)
      throw usage('a channel has its own list: --store-paths goes with --cache only')
    return { channel, site: flags.channelsUrl }
  }
  if (flags.cache === undefined) throw usage('name a channel, or a binary cache with --cache')
  const { storePaths } = flags
  if (storePaths === undefined) return { storePaths: undefined }
  const isAddress = /^[a-z0-9+.-]+:\/\//i.test(storePaths)
  return { storePaths: isAddress ? parseAddress(storePaths) : pathToFileURL(resolve(directory, storePaths)) }
}

const usage = (message: string) =>
  new NixeryError('CONFIG_INVALID', message, { hint: 'nixery popcount --help tells more' })

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
  throw new InvalidArgumentError('it must be a number from 1 to 1000')
}

/** As the original names it; without a channel, after the cache. */
function nameOf(channel: string | undefined, commit: string | undefined, cache: URL): string {
  if (channel !== undefined) return `popularity-${channel}-${commit}.json`
  const label = `${cache.host}${cache.pathname}`.replace(/[^0-9A-Za-z.-]+/g, '_').replace(/^_|_$/g, '')
  return `popularity-${label}.json`
}

/** Tells what was not read. */
function report({ tally, paths, invalid, examples }: Popcount, stderr: ProgressStream): void {
  const { kept, fetched, missing, broken, failed } = tally
  stderr.write(`${kept + fetched} of ${paths} narinfos read, ${fetched} of them fetched now\n`)
  const words = [`${missing} not in the cache`, `${broken} broken`, `${failed} could not be fetched`]
  const unread = words.filter((each) => !each.startsWith('0 '))
  if (unread.length > 0) stderr.write(`not read: ${unread.join(', ')}; for example\n`)
  for (const example of examples) stderr.write(`  ${example}\n`)
  if (invalid > 0) stderr.write(`${invalid} lines of the list are not store paths\n`)
}
