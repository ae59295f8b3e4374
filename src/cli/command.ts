import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { jsonLine } from '../text/json-line.ts'
import { plainText } from '../text/plain.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { createProgress, type Progress } from './progress.ts'
import { placeOfBlobs, readSettings } from './settings.ts'

/** What every command is given for its work. */
export type CommandContext = {
  /** Whether `--json` was given. */
  readonly json: boolean
  readonly progress: Progress
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /**
   * The configuration. A command that works on the server's folders says which ones they are.
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
  /** Whether it works on the server's data folder and blobs. */
  readonly usesFolders: boolean
  /** What to do after an interruption, if not simply to start again. */
  readonly interruptedHint?: string
  /** Declares arguments and options besides `--json`. */
  readonly declare?: (command: Command) => void
  /** @throws NixeryError for whatever a user can cause; its code decides the exit code */
  readonly run: (context: CommandContext, options: Options, ...args: Args) => Promise<void>
}

/**
 * Defines what a command of `commands.ts` does; the result sets it up. All commands have `--json`, a help text with the exit codes,
 * progress on standard error, and an orderly end on SIGINT and SIGTERM.
 */
export function defineCommand<Options, Args extends readonly unknown[] = []>(
  definition: CommandDefinition<Args, Options>,
): (command: Command) => void {
  const { usesFolders, interruptedHint, declare, run } = definition
  return (command) => {
    declare?.(command)
    command
      .option('--json', 'the result as JSON on standard output, events as JSON lines on standard error')
      .addHelpText('after', exitCodesHelp)
      .action(async () => {
        const started = performance.now()
        const options = command.opts<{ json?: true }>()
        const json = options.json === true
        const progress = createProgress({ json })
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
        // Commander has checked them against what was declared.
        const args = command.processedArgs as unknown as Args
        await runCommand(
          progress,
          (signal) => run(context(signal), options as Options, ...args),
          interruptedHint,
        )
      })
  }
}
