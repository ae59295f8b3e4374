import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { jsonLine } from '../text/json-line.ts'
import { plainText } from '../text/plain.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { createProgress, type Progress } from './progress.ts'
import { placeOfBlobs } from '../stores.ts'
import { readSettings } from './settings.ts'

/** What `run` of every command receives. */
export type CommandContext = {
  /** Whether `--json` was given. */
  readonly json: boolean
  readonly progress: Progress
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /**
   * Reads the configuration. A command that works on the server's folders also reports which folders it uses.
   * @param overrides variables that the command's own options set
   * @throws CONFIG_INVALID
   */
  readonly config: (overrides?: Readonly<Record<string, string>>) => Config
  /** Prints the result on standard output: as JSON with `--json`, otherwise the text, if there is one. */
  readonly print: (result: unknown, text?: string) => void
  /** Seconds since the command started, to the millisecond. */
  readonly seconds: () => number
}

export type CommandDefinition<Args extends readonly unknown[], Options> = {
  /** Whether the command uses the server's data folder and blobs. */
  readonly usesFolders: boolean
  /** What to do after an interruption, unless the command is simply run again. */
  readonly interruptedHint?: string
  /** Declares arguments and options other than `--json`. */
  readonly declare?: (command: Command) => void
  /** @throws NixeryError for every failure that a user can cause; its code decides the exit code */
  readonly run: (context: CommandContext, options: Options, ...args: Args) => Promise<void>
}

/**
 * Defines the behaviour of a command in `commands.ts` and returns a function that sets it up. All commands have `--json`,
 * a help text with the exit codes, progress on standard error, and a graceful shutdown on SIGINT and SIGTERM.
 */
export function defineCommand<Options, Args extends readonly unknown[] = []>(
  definition: CommandDefinition<Args, Options>,
): (command: Command) => void {
  const { usesFolders, interruptedHint, declare, run } = definition
  return (command) => {
    declare?.(command)
    command
      .option(
        '--json',
        'print the result as JSON on standard output, and events as JSON lines on standard error',
      )
      .option('-q, --quiet', 'print only the result, warnings and errors')
      .addHelpText('after', exitCodesHelp)
      .action(async () => {
        const started = performance.now()
        const options = command.opts<{ json?: true; quiet?: true }>()
        const json = options.json === true
        const progress = createProgress({ json, quiet: options.quiet === true })
        const context = (signal: AbortSignal): CommandContext => ({
          json,
          progress,
          signal,
          config(overrides) {
            const config = readSettings(progress, overrides)
            if (usesFolders) {
              progress.emit({ type: 'folders', data: config.NIXERY_DATA, blobs: placeOfBlobs(config) })
            }
            return config
          },
          print(result, text) {
            if (json) process.stdout.write(`${jsonLine(result)}\n`)
            else if (text !== undefined) process.stdout.write(`${plainText(text)}\n`)
          },
          seconds: () => Math.round(performance.now() - started) / 1000,
        })
        // Commander has checked the arguments against their declaration.
        const args = command.processedArgs as unknown as Args
        await runCommand(
          progress,
          (signal) => run(context(signal), options as Options, ...args),
          interruptedHint,
        )
      })
  }
}
