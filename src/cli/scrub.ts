import type { Command } from 'commander'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { NixeryError } from '../errors.ts'
import { createHasher } from '../store/hasher.ts'
import { openStore } from '../stores.ts'
import { scrub } from '../upkeep/scrub.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { jsonLine } from '../text/json-line.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { createProgress, type Progress } from './progress.ts'
import { commandConfig, requireCatalog } from './settings.ts'

type Options = { readonly dryRun?: true; readonly json?: true }

export function addScrubCommand(program: Command): void {
  program
    .command('scrub')
    .description('hash everything that is stored, and remove what is damaged: the next pull makes it again')
    .option('--dry-run', 'report only')
    .option('--json', 'the result as JSON on standard output, events as JSON lines on standard error')
    .addHelpText('after', exitCodesHelp)
    .action(async (options: Options) => {
      const progress = createProgress({ json: options.json === true })
      await runCommand(progress, (signal) => run(options, progress, signal))
    })
}

// Milliseconds. Nobody waits for a command but the one who started it.
export const patience = 10_000

async function run(options: Options, progress: Progress, signal: AbortSignal): Promise<void> {
  const config = commandConfig(progress)
  const dryRun = options.dryRun === true
  const file = await requireCatalog(config)
  const store = await openStore(config)
  const catalog = await openSqliteCatalog(file, { warn: progress.note, busyTimeout: patience })
  const hasher = createHasher(store)
  const stop = () => void hasher.close()
  signal.addEventListener('abort', stop)
  try {
    const { checked, size, damaged } = await scrub(
      { catalog, store, hasher },
      {
        dryRun,
        signal,
        progress: (done, total) => progress.emit({ type: 'moved', verb: 'checked', done, total }),
      },
    )
    if (options.json) process.stdout.write(`${jsonLine({ checked, size, dryRun, damaged })}\n`)
    else for (const { digest } of damaged) process.stdout.write(`${digest}\n`)
    if (damaged.length > 0) {
      const what = `${counted(damaged.length, 'blob')} of ${checked} damaged`
      throw new NixeryError('STORE_UNAVAILABLE', `${what}: ${dryRun ? 'nothing was removed' : 'removed'}`, {
        hint: dryRun
          ? 'without --dry-run they are removed, and made again by the next pull'
          : 'the next pull makes them again; look for what is wrong with the disk',
        detail: damaged.map(({ digest }) => digest),
      })
    }
    progress.done(`${counted(checked, 'blob')}, ${bytesText(size)}: all as they should be`)
  } finally {
    signal.removeEventListener('abort', stop)
    await hasher.close()
    await catalog.close()
  }
}
