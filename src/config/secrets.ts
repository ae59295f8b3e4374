import { readFileSync } from 'node:fs'

type Environment = Readonly<Record<string, string | undefined>>

// Shorter values are common words: hiding them would reveal more than it hides.
const shortest = 6
const shortestName = 12

// Names of variables with secrets; paths are not secrets.
const secretName =
  /(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASS|PASSPHRASE|API_?KEY|ACCESS_KEY(?:_ID)?|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?)(?:$|_)/
const isSwitch = /^(?:true|false|enabled|disabled|required|optional)$/i
const addresses = [
  'NIXERY_CHANNEL_URL',
  'NIXERY_CHANNEL_REPO',
  'NIXERY_PKGS_REPO',
  'NIXERY_FLAKE',
  'NIXERY_SUBSTITUTERS',
  'NIX_POPULARITY_URL',
  'NIXERY_DATABASE_URL',
  'NIXERY_DATABASE_DIRECT_URL',
  'S3_ENDPOINT',
  'GCS_ENDPOINT',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'NIX_CONFIG',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'http_proxy',
  'https_proxy',
  'ALL_PROXY',
  'all_proxy',
]
// Public parameters of flakes, archives and databases.
const openParameters =
  /^(?:ref|rev|dir|branch|host|narhash|submodules|shallow|allrefs|lastmodified|revcount|name|channel|path|format|archive|sha|region|endpoint|scheme|profile|compression|priority|trusted|want-mass-query|sslmode|ssl(?:root)?cert|sslkey|application_name|connect_timeout)$/i

/**
 * The secret values in the environment: secret settings, credentials in URLs, the access tokens of NIX_CONFIG, and the
 * contents of a service account's key.
 * @param readFile reads the key file, which may be missing
 */
export function secretsOf(environment: Environment, readFile: (path: string) => string = readText): string[] {
  const found = new Set<string>()
  const add = (value: string | undefined, least = shortest) => {
    if (value !== undefined && value.length >= least) found.add(value)
  }
  for (const [name, value = ''] of Object.entries(environment)) {
    if (secretName.test(name) && !value.startsWith('/') && !isSwitch.test(value)) add(value)
  }
  const texts = addresses.map((name) => environment[name] ?? '')
  const file = environment['NIXERY_SETS_FILE'] ?? ''
  const sets = [environment['NIXERY_SETS'] ?? '', file === '' ? '' : readFile(file)].join('\n')
  for (const text of [...texts, ...sets.split(/[\s,"']+/)]) {
    for (const value of secretsOfAddresses(text)) add(value)
    for (const value of userNamesOf(text)) add(value, shortestName)
  }
  for (const value of accessTokensOf(environment['NIX_CONFIG'] ?? '')) add(value)
  for (const value of valuesOfHeaders(environment['OTEL_EXPORTER_OTLP_HEADERS'] ?? '')) add(value)
  for (const value of accessTokensOf(
    `access-tokens=${(environment['NIXERY_CACHE_TOKENS'] ?? '').replaceAll(',', ' ')}`,
  ))
    add(value)
  const key = environment['GOOGLE_APPLICATION_CREDENTIALS']
  if (key !== undefined && key !== '') for (const value of secretsOfKey(readFile(key))) add(value)
  return [...found]
}

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // its reader reports the error
  }
}

/** Passwords, and parameters except those known to be public; encoded and decoded. */
function secretsOfAddresses(text: string): string[] {
  const passwords = [...text.matchAll(/:\/\/[^\s/?#:@]*:(?<value>[^\s?#]*)@/g)]
  const parameters = [...text.matchAll(/[?&](?<name>[^\s=&#]+)=(?<value>[^\s&#]+)/g)]
  return [
    ...passwords,
    ...parameters.filter(({ groups }) => !openParameters.test(groups?.['name'] ?? '')),
  ].flatMap(({ groups }) => bothForms(groups?.['value'] ?? ''))
}

/** User names can be tokens; `git` and similar names are too short to be one. */
const userNamesOf = (text: string): string[] =>
  [...text.matchAll(/:\/\/(?<value>[^\s/?#:@]+)(?::[^\s/?#@]*)?@/g)].flatMap(({ groups }) =>
    bothForms(groups?.['value'] ?? ''),
  )

function bothForms(value: string): string[] {
  try {
    return [value, decodeURIComponent(value)]
  } catch {
    return [value]
  }
}

/** `access-tokens = host=token host=PAT:token` (nix.conf). */
const accessTokensOf = (settings: string): string[] =>
  [...settings.matchAll(/^\s*(?:extra-)?access-tokens\s*=(?<list>.*)$/gm)].flatMap(({ groups }) =>
    (groups?.['list'] ?? '').split(/\s+/).flatMap((entry) => {
      const token = entry.slice(entry.indexOf('=') + 1)
      return [token, token.replace(/^[A-Za-z0-9]+:/, '')]
    }),
  )

/** The private key in a service account's JSON, line by line, and the key's id. */
function secretsOfKey(text: string): string[] {
  let key: unknown
  try {
    key = JSON.parse(text)
  } catch {
    return []
  }
  if (key === null || typeof key !== 'object') return []
  const values = ['private_key', 'private_key_id', 'client_secret', 'refresh_token'].map(
    (name): unknown => (key as Record<string, unknown>)[name],
  )
  return values
    .filter((value) => typeof value === 'string')
    .flatMap((value) => value.split('\n'))
    .filter((line) => !line.startsWith('-----'))
}

/** What comes behind `=` in `name=value,name=value`, as it is and decoded, and without the name of a scheme. */
const valuesOfHeaders = (text: string): string[] =>
  text.split(',').flatMap((pair) => {
    const value = pair.slice(pair.indexOf('=') + 1).trim()
    const decoded = unescaped(value)
    return [value, decoded, decoded.replace(/^\S+\s+/, '')]
  })

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
