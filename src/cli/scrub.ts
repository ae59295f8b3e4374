import { NixeryError } from '../errors.ts'
import { createHasher } from '../store/hasher.ts'
import { rememberScrub } from '../upkeep/last-scrub.ts'
import { scrub } from '../upkeep/scrub.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openStorage } from './compose.ts'

type Options = { readonly dryRun?: true }

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) => command.option('--dry-run', 'report only'),
  run,
})

async function run(context: CommandContext, options: Options): Promise<void> {
  const { progress, signal } = context
  const dryRun = options.dryRun === true
  const { store, catalog } = await openStorage(context.config(), progress.note)
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
    // For the metrics of servers. The scrub succeeds even if its result cannot be recorded.
    await rememberScrub(catalog.upkeep, { checked, size, damaged }, Date.now() / 1000).catch(
      (error: unknown) =>
        progress.note(
          `the result cannot be recorded: ${error instanceof Error ? error.message : String(error)}`,
        ),
    )
    const digests = damaged.map(({ digest }) => digest)
    context.print({ checked, size, dryRun, damaged }, digests.length > 0 ? digests.join('\n') : undefined)
    if (damaged.length > 0) {
      const what = `${counted(damaged.length, 'blob')} of ${checked} damaged`
      throw new NixeryError('STORE_UNAVAILABLE', `${what}: ${dryRun ? 'nothing was removed' : 'removed'}`, {
        hint: dryRun
          ? 'run again without --dry-run to remove them; the next pull rebuilds them'
          : 'the next pull rebuilds them; check the disk for errors',
        detail: digests,
      })
    }
    progress.done(`${counted(checked, 'blob')}, ${bytesText(size)}: no damage found`)
  } finally {
    signal.removeEventListener('abort', stop)
    await hasher.close()
    await catalog.close()
  }
}
