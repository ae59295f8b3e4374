import { Command } from 'commander'
import packageFile from '../../package.json' with { type: 'json' }
import { secretsOf } from '../config/secrets.ts'
import { isNixeryError } from '../errors.ts'
import { createRedactor, wholeLines } from '../text/redact.ts'
import { addCommands } from './commands.ts'
import { exitCodeOf } from './exit.ts'
import { formatHelp } from './help.ts'
import { loadEnvironmentFile } from './settings.ts'

const secrets = secretsOf(process.env)

const program = new Command('nixery')
  .description('A container registry that builds images from Nix packages while they are pulled.')
  .version(packageFile.version, '--version', 'print the version')
  .option(
    '--env-file <file>',
    'read settings from a file of NAME=value lines; environment variables take precedence',
  )
  .hook('preAction', async (command) => {
    const { envFile } = command.opts<{ envFile?: string }>()
    if (envFile !== undefined) await loadEnvironmentFile(envFile)
  })
  // The whole help would scroll the error away.
  .showHelpAfterError('(add --help for usage)')
  .configureHelp({ formatHelp })
  // Invalid usage exits with 2 in all commands (`exit.ts`); commander's default is 1.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))

await addCommands(program, process.argv.slice(2))

try {
  await program.parseAsync()
} catch (error) {
  // Failures that a user can cause are printed as a sentence; bugs with their stack.
  if (!isNixeryError(error)) throw error
  const text = `nixery: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`
  process.stderr.write(createRedactor(secrets, wholeLines).text(text))
  process.exitCode = exitCodeOf(error)
}
