import { NixeryError } from '../errors.ts'

/** A derivation must be built by a machine with system features (`requiredSystemFeatures`) that this one lacks. */
export class FeaturesMissing extends NixeryError<'BUILD_FAILED'> {
  /** Its name, without hash and `.drv`. */
  readonly derivation: string
  readonly features: readonly string[]
  constructor({ derivation, features }: MissingFeatures) {
    super(
      'BUILD_FAILED',
      `${derivation} needs the system feature ${features.join(', ')}, which this machine lacks`,
      {
        hint: 'the operator can add it to system-features in Nix’s configuration, if the machine has it',
      },
    )
    this.derivation = derivation
    this.features = features
  }
}

export type MissingFeatures = { readonly derivation: string; readonly features: readonly string[] }

const list = '\\{(?<NAME>[^}]*)\\}'
const [required, available] = [list.replace('NAME', 'required'), list.replace('NAME', 'available')]
const store = "'\\/nix\\/store\\/[0-9a-z]{32}-(?<derivation>[^']+)\\.drv'"

/** What versions of Nix say: up to 2.28, up to 2.30, and later ones. */
const messages = [
  `a '(?<system>[^']+)' with features ${required} is required to build ${store}, but I am a '(?<own>[^']+)' with features ${available}`,
  `Cannot build ${store}\\.\\s+Reason: required system or feature not available\\s+Required system: '(?<system>[^']+)' with features ${required}\\s+Current system: '(?<own>[^']+)' with features ${available}`,
  `Cannot build ${store}\\.\\s+Reason: missing system features\\s+Required features: ${required}\\s+Available features: ${available}`,
].map((text) => new RegExp(text))

const namesIn = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => /^[\w.+-]{1,100}$/.test(name))

/** Reads from Nix's messages which system features a derivation needs that this machine lacks; undefined if none. */
export function missingFeatures(text: string): MissingFeatures | undefined {
  const found = messages.map((message) => message.exec(text)?.groups).find(Boolean)
  if (!found || found['system'] !== found['own']) return undefined
  const own = new Set(namesIn(found['available'] ?? ''))
  const features = namesIn(found['required'] ?? '').filter((name) => !own.has(name))
  return features.length === 0 ? undefined : { derivation: found['derivation'] ?? '', features }
}
