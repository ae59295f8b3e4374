import { join } from 'node:path'
import { settingNames, type Config } from '../../config.ts'
import { environmentFor, type Environment, type Purpose } from '../../nix/environment.ts'
import { nixSettings } from '../../nix/settings.ts'

/** The environment that the server's processes of a kind have, with the settings that Nix needs here. */
export async function purposeEnvironment(config: Config, purpose: Purpose): Promise<Environment> {
  const options = {
    home: join(config.NIXERY_DATA, 'home'),
    pass: config.NIXERY_NIX_ENV,
    withhold: settingNames,
  }
  const plain = () => environmentFor(purpose, process.env, options)
  const { lines } = await nixSettings(plain, () => {})()
  return environmentFor(purpose, process.env, options, lines)
}
