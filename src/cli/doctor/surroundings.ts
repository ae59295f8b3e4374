import { join } from 'node:path'
import { settingNames, type Config } from '../../config.ts'
import { environmentFor, type Environment, type Purpose } from '../../nix/environment.ts'
import { nixSettings } from '../../nix/settings.ts'

/** The environment that the server's processes of a kind have. @param lines settings that Nix needs here */
export const plainEnvironment = (config: Config, purpose: Purpose, lines?: readonly string[]): Environment =>
  environmentFor(
    purpose,
    process.env,
    { home: join(config.NIXERY_DATA, 'home'), pass: config.NIXERY_NIX_ENV, withhold: settingNames },
    lines,
  )

/** The same, with the settings that Nix needs here. */
export async function purposeEnvironment(config: Config, purpose: Purpose): Promise<Environment> {
  const { lines } = await nixSettings(
    () => plainEnvironment(config, purpose),
    () => {},
  )()
  return plainEnvironment(config, purpose, lines)
}
