import { Command } from 'commander'
import { secretsOf } from '../config/secrets.ts'
import { isNixeryError } from '../errors.ts'
import { createRedactor, wholeLines } from '../text/redact.ts'
import { addCommands } from './commands.ts'
import { exitCodeOf } from './exit.ts'
import { loadEnvironmentFile } from './settings.ts'

const secrets = secretsOf(process.env)

const program = new Command('nixery')
  .description('A container registry that builds the image while it is being pulled, from Nix packages.')
  .option('--env-file <file>', 'read settings from a file of NAME=value lines; the environment wins')
  .hook('preAction', async (command) => {
    const { envFile } = command.opts<{ envFile?: string }>()
    if (envFile !== undefined) await loadEnvironmentFile(envFile)
  })
  .showHelpAfterError()
  // Wrong usage is 2 in all commands (`exit.ts`); commander's own is 1.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))

await addCommands(program, process.argv.slice(2))

try {
  await program.parseAsync()
} catch (error) {
  // What a user can meet is told in a sentence; a bug with its stack.
  if (!isNixeryError(error)) throw error
  const told = `nixery: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`
  process.stderr.write(createRedactor(secrets, wholeLines).text(told))
  process.exitCode = exitCodeOf(error)
}
