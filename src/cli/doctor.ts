import type { Config } from '../config.ts'
import { NixeryError } from '../errors.ts'
import { counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { checkCaches } from './doctor/caches.ts'
import { checkClients } from './doctor/clients.ts'
import { checkDisk } from './doctor/disk.ts'
import type { Finding } from './doctor/finding.ts'
import { checkNetwork } from './doctor/network.ts'
import { checkNix } from './doctor/nix.ts'
import { checkPackages } from './doctor/packages.ts'
import { checkRecipeFolders, checkSetRecipes } from './doctor/recipes.ts'
import { checkRepositories } from './doctor/repositories.ts'
import { checkServer } from './doctor/server.ts'
import { checkStorage } from './doctor/storage.ts'
import { findingText } from './doctor/text.ts'

export const setUp = defineCommand({ usesFolders: true, run })

/** If settings are invalid, the command ends with all of their problems; otherwise it runs all checks. */
async function run(context: CommandContext): Promise<void> {
  const config = context.config()
  const groups = await Promise.all(checksOf(config, context.signal))
  const findings = groups.flat()
  context.signal.throwIfAborted()
  context.print(findings, findings.map((finding) => findingText(finding, widthOf(process.stdout))).join('\n'))
  const problems = findings.filter(({ state }) => state === 'problem').length
  const warnings = findings.filter(({ state }) => state === 'warning').length
  if (problems > 0) {
    throw new NixeryError(
      'SETUP_FAILED',
      `${counted(problems, 'problem')} and ${counted(warnings, 'warning')} found`,
    )
  }
  context.progress.done(
    warnings === 0 ? 'no problems found' : `no problems and ${counted(warnings, 'warning')} found`,
  )
}

const checksOf = (config: Config, signal: AbortSignal): Promise<Finding[]>[] => [
  checkNix(config, signal),
  checkPackages(config),
  checkRepositories(config, signal),
  checkSetRecipes(config, signal),
  checkRecipeFolders(config),
  checkStorage(config),
  checkNetwork(config, isProxied(process.env)),
  checkCaches(config),
  checkDisk(config),
  checkServer(config),
  Promise.resolve(checkClients(config)),
]

const isProxied = (environment: Readonly<Record<string, string | undefined>>): boolean =>
  Object.entries(environment).some(([name, value]) => /^(https?|all)_proxy$/i.test(name) && value)

/** The width of a terminal; other output is not wrapped. */
const widthOf = ({ isTTY, columns }: typeof process.stdout): number =>
  isTTY && columns > 0 ? columns : Infinity
