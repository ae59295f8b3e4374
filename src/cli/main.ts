import { Command } from 'commander'
import { configWarnings, readConfig } from '../config.ts'
import { secretsOf } from '../config/secrets.ts'
import { isNixeryError } from '../errors.ts'
import { createLog } from '../telemetry/log.ts'
import { createRedactor, wholeLines } from '../text/redact.ts'
import { addBuildCommand } from './build.ts'
import { addConfigCommand } from './config.ts'
import { exitCodeOf } from './exit.ts'
import { addGcCommand } from './gc.ts'
import { addPlanCommand } from './plan.ts'
import { addPopcountCommand } from './popcount.ts'
import { addPushCommand } from './push.ts'
import { addWarmCommand } from './warm.ts'
import { addScrubCommand } from './scrub.ts'
import { serve } from './serve.ts'
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

program
  .command('serve')
  .description('serve images over HTTP; configured by environment variables (docs/configuration.md)')
  .action(async () => {
    const config = readConfig(process.env)
    const log = createLog(config.NIXERY_LOG_LEVEL, createRedactor(secrets, wholeLines))
    for (const line of configWarnings(process.env)) log.warn(line)
    await serve(config, log, secrets)
  })

const commands = [
  addBuildCommand,
  addPushCommand,
  addPlanCommand,
  addGcCommand,
  addScrubCommand,
  addWarmCommand,
  addConfigCommand,
  addPopcountCommand,
]
for (const add of commands) add(program)

try {
  await program.parseAsync()
} catch (error) {
  // What a user can meet is told in a sentence; a bug with its stack.
  if (!isNixeryError(error)) throw error
  const told = `nixery: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`
  process.stderr.write(createRedactor(secrets, wholeLines).text(told))
  process.exitCode = exitCodeOf(error)
}
