import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import { cachesOf, type NixCaches } from './cache-settings.ts'
import type { Environment } from './environment.ts'
import { messageOf } from './message.ts'
import { run } from './process.ts'

/** Nix's configuration. */
type Configuration = Readonly<Record<string, { value?: unknown }>>

/** Settings to add to Nix's configuration, and settings that it has. */
export type NixSettings = {
  /** Lines of nix.conf to put before the operator's own. */
  readonly lines: readonly string[]
  /** Experimental features that are enabled. */
  readonly features: readonly string[]
  /** URLs that restricted evaluation may fetch from; empty unless the operator has set them. */
  readonly allowedUris: readonly string[]
  readonly caches: NixCaches
  /** What derivations can require of this machine (`system-features`). */
  readonly systemFeatures: readonly string[]
}

const nixCommand = ['--extra-experimental-features', 'nix-command']
const probeTimeout = 3_000
const probeInterval = 5 * 60_000
/** Milliseconds to wait for the first network check, which is usually finished by then. */
const firstPatience = 500

/**
 * Nix configuration to put before the operator's own NIX_CONFIG, so that builds work out of the box. The operator's
 * settings take precedence.
 * - As root without the group in `build-users-group`, every build would fail.
 * - Without a reachable binary cache, every build would first wait for a timeout.
 * - A Nix whose sandbox has no /bin/sh (Debian's) cannot run even simple builders.
 *
 * A daemon has its own configuration; clients only control whether it uses binary caches. A daemon on another machine
 * also has its own network.
 * @returns lines of configuration, and the operator's settings that evaluation depends on
 * @param environment the environment in which to read the configuration, and the proxies to use
 * @param note called with a line for each added setting
 */
export function nixSettings(
  environment: () => Environment,
  note: (line: string) => void,
  { canReach = anyReachable, interval = probeInterval }: SettingsOptions = {},
): () => Promise<NixSettings> {
  let reading: Promise<Settings> | undefined
  const probe = createProbe(interval)
  const read = async (): Promise<Settings> => {
    const configuration = await readConfiguration(environment())
    const store = storeOf(configuration)
    const lines = store === 'direct' ? [...buildUsers(configuration), ...sandboxShell(configuration)] : []
    for (const added of lines) note(added.note)
    return {
      configuration,
      lines: lines.map(({ line }) => line),
      features: featuresOf(configuration),
      allowedUris: allowedUrisOf(configuration),
      caches: cachesOf((name) => setting(configuration, name)),
      systemFeatures: textsOf(setting(configuration, 'system-features')),
      isElsewhere: store === 'elsewhere',
    }
  }
  let isNoted = false

  return async () => {
    reading ??= read()
    const settings = await reading.catch((error: unknown) => {
      reading = undefined // read it again next time
      throw error
    })
    // As long as this is unknown, Nix itself tries the caches.
    if (
      settings.isElsewhere ||
      (await probe(() => canReach(settings.configuration, environment()))) !== false
    )
      return settings
    if (!isNoted) note('no binary cache can be reached: substitute = false')
    isNoted = true
    return { ...settings, lines: [...settings.lines, 'substitute = false'] }
  }
}

type Settings = NixSettings & {
  readonly configuration: Configuration
  /** The store is another machine's. */
  readonly isElsewhere: boolean
}

type SettingsOptions = {
  /** Whether any binary cache can be reached; for tests. */
  readonly canReach?: (configuration: Configuration, environment: Environment) => Promise<boolean>
  /** Milliseconds between two checks. */
  readonly interval?: number
}

/**
 * Shares network checks, which may take seconds. While a check runs, callers get the previous result. They wait only for
 * the first check, and only for a short time.
 * @returns the last result; undefined if there is none yet
 */
function createProbe(interval: number): (look: () => Promise<boolean>) => Promise<boolean | undefined> {
  let result: boolean | undefined
  let looking: Promise<void> | undefined
  let began = -Infinity
  let patience: Promise<void> | undefined
  return async (look) => {
    if (!looking && performance.now() - began >= interval) {
      began = performance.now()
      looking = look()
        .then((reached) => void (result = reached))
        .catch(() => {}) // keep the previous result
        .finally(() => (looking = undefined))
      patience ??= Promise.race([looking, sleep(firstPatience, undefined, { ref: false })])
    }
    if (result === undefined) await patience
    return result
  }
}

/** `nix config show` since 2.20, `nix show-config` before. */
async function readConfiguration(environment: Environment): Promise<Configuration> {
  const complaints: string[] = []
  for (const verb of [['config', 'show'], ['show-config']]) {
    const result = await run('nix', [...nixCommand, ...verb, '--json'], { environment, timeout: 20_000 })
    if (result.ok) return withFeatures(JSON.parse(result.stdout) as Configuration, verb, environment)
    complaints.push(messageOf(result.lines))
  }
  const complaint = complaints.find((text) => !text.includes('is not a recognised command'))
  throw new NixeryError(
    'NIX_UNAVAILABLE',
    `the configuration of Nix cannot be read:\n${complaint ?? 'no reason given'}`,
    {
      hint: 'the operator must fix nix.conf or NIX_CONFIG',
    },
  )
}

/** Until 2.9, the JSON has unstable numbers for experimental features; the text form has their names. */
async function withFeatures(
  configuration: Configuration,
  verb: readonly string[],
  environment: Environment,
): Promise<Configuration> {
  const features = setting(configuration, 'experimental-features')
  if (!Array.isArray(features) || features.every((name) => typeof name === 'string')) return configuration
  const result = await run('nix', [...nixCommand, ...verb], { environment, timeout: 20_000 })
  const names = result.ok ? /^experimental-features = (.*)$/m.exec(result.stdout)?.[1] : undefined
  return { ...configuration, 'experimental-features': { value: (names ?? '').split(' ') } }
}

/** Without `nix-command`, which this program itself enabled for the query. */
const featuresOf = (configuration: Configuration): string[] =>
  textsOf(setting(configuration, 'experimental-features')).filter((name) => name !== 'nix-command')
const allowedUrisOf = (configuration: Configuration): string[] =>
  textsOf(setting(configuration, 'allowed-uris'))

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string' && each !== '') : []

const setting = (configuration: Configuration, name: string) => configuration[name]?.value

/** Follows Nix's rules: `auto` (which NIX_REMOTE overrides) uses a daemon if the store is not writable. */
function storeOf(configuration: Configuration): 'direct' | 'daemon' | 'elsewhere' {
  const store = setting(configuration, 'store')
  if (store === 'daemon' || String(store).startsWith('unix:')) return 'daemon'
  if (typeof store !== 'string' || /^(local|\/|$)/.test(store)) return 'direct'
  if (store !== 'auto') return 'elsewhere'
  return canWrite('/nix/var/nix') || !existsSync('/nix/var/nix/daemon-socket/socket') ? 'direct' : 'daemon'
}

function canWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** A line of configuration, and its explanation for the operator. */
type AddedLine = { readonly line: string; readonly note: string }

function buildUsers(configuration: Configuration): AddedLine[] {
  const group = setting(configuration, 'build-users-group')
  const isRoot = process.getuid?.() === 0
  if (!isRoot || typeof group !== 'string' || group === '' || groupExists(group)) return []
  const note = `there is no group ${group}: build-users-group is set to none, builds run as root`
  return [{ line: 'build-users-group =', note }]
}

function groupExists(group: string): boolean {
  if (!existsSync('/etc/group')) return false
  return readFileSync('/etc/group', 'utf8')
    .split('\n')
    .some((line) => line.startsWith(`${group}:`))
}

function sandboxShell(configuration: Configuration): AddedLine[] {
  // A list, or an object since 2.34.
  const paths = setting(configuration, 'sandbox-paths')
  const none = typeof paths === 'object' && paths !== null && Object.keys(paths).length === 0
  if (!none || setting(configuration, 'sandbox') === false) return []
  const host = ['/bin', '/usr', '/lib', '/lib64'].filter((path) => existsSync(path))
  const line = `sandbox-paths = ${host.join(' ')}`
  return [{ line, note: `this Nix's sandbox has no /bin/sh: ${line}` }]
}

/** Whether any binary cache is reachable. Caches that do not use HTTP, or are behind a proxy, count as reachable. */
async function anyReachable(configuration: Configuration, environment: Environment): Promise<boolean> {
  const substituters = setting(configuration, 'substituters')
  if (setting(configuration, 'substitute') === false) return true
  if (!Array.isArray(substituters) || substituters.length === 0) return true
  if (Object.entries(environment).some(([name, value]) => /^(https?|all)_proxy$/i.test(name) && value))
    return true
  const answers = substituters.map(async (address: unknown) => {
    const url = typeof address === 'string' ? URL.parse(address) : null
    return url && /^https?:$/.test(url.protocol) ? canConnect(url) : true
  })
  return (await Promise.all(answers)).some(Boolean)
}

/** Only connects, without a request: Nix may trust certificates that this program does not. */
function canConnect({ protocol, hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '')
    const socket = connect({ host, port: Number(port || (protocol === 'https:' ? 443 : 80)) })
    const end = (reachable: boolean) => {
      socket.destroy()
      resolve(reachable)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
    socket.setTimeout(probeTimeout, () => end(false))
  })
}
