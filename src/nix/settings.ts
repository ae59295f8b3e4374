import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import { cachesOf, type NixCaches } from './cache-settings.ts'
import type { Environment } from './environment.ts'
import { messageOf } from './message.ts'
import { run } from './process.ts'

/** The part of Nix's configuration that decides what must be set for builds to work here. */
type Configuration = Readonly<Record<string, { value?: unknown }>>

/** What must be set, and what is. */
export type NixSettings = {
  /** Lines of nix.conf to put before the operator's own. */
  readonly lines: readonly string[]
  /** Experimental features that are enabled. */
  readonly features: readonly string[]
  /** Addresses that restricted evaluation may fetch from; none unless the operator has set some. */
  readonly allowedUris: readonly string[]
  readonly caches: NixCaches
}

const nixCommand = ['--extra-experimental-features', 'nix-command']
const probeTimeout = 3_000
const probeInterval = 5 * 60_000
/** Milliseconds after the start of the first look in which it is waited for: mostly it is over by then. */
const firstPatience = 500

/**
 * Nix configuration to put before the operator's own NIX_CONFIG so that builds work out of the box; whatever the
 * operator sets wins.
 * - As root without the group that `build-users-group` names, every build would fail.
 * - Without a reachable binary cache, every build would first wait for one.
 * - A Nix whose sandbox has no /bin/sh (Debian's) cannot run the simplest of builders.
 *
 * A daemon has its own configuration: it is only told whether to look for a binary cache, which is the client's
 * to say. One on another machine has its own network, too.
 * @returns lines of configuration, and what the operator has configured that evaluation depends on
 * @param environment in which Nix is asked for its configuration, and whose proxies count
 * @param note gets a line for each thing that was set
 */
export function nixSettings(
  environment: () => Environment,
  note: (line: string) => void,
  { canReach = anyReachable, interval = probeInterval }: SettingsOptions = {},
): () => Promise<NixSettings> {
  let configuration: Promise<Configuration> | undefined
  const probe = createProbe(interval)
  const notes = new Set<string>()
  const say = (line: string) => {
    if (!notes.has(line)) note(line)
    notes.add(line)
  }

  return async () => {
    configuration ??= readConfiguration(environment())
    const known = await configuration.catch((error: unknown) => {
      configuration = undefined // ask again next time
      throw error
    })
    const store = storeOf(known)
    const caches = cachesOf((name) => setting(known, name))
    const told = { features: featuresOf(known), allowedUris: allowedUrisOf(known), caches }
    if (store === 'elsewhere') return { ...told, lines: [] }
    const lines = store === 'direct' ? [...buildUsers(known, say), ...sandboxShell(known, say)] : []
    // While it is not known, Nix itself finds out.
    if ((await probe(() => canReach(known, environment()))) === false) {
      say('no binary cache can be reached: substitute = false')
      lines.push('substitute = false')
    }
    return { ...told, lines }
  }
}

type SettingsOptions = {
  /** Whether any binary cache can be reached; for tests. */
  readonly canReach?: (configuration: Configuration, environment: Environment) => Promise<boolean>
  /** Milliseconds from one look to the next. */
  readonly interval?: number
}

/**
 * Shares the looks over the network, which may take seconds: the last result is given while the next look is at work,
 * and only the first one is waited for, in the first moments of the program.
 * @returns the last result, or undefined while there is none
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
        .catch(() => {}) // as before
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
    `Nix does not tell its configuration:\n${complaint ?? 'no reason'}`,
    {
      hint: 'the operator must repair nix.conf or NIX_CONFIG',
    },
  )
}

/** Until 2.9 the JSON form has numbers for experimental features, whose meaning changes; the other has their names. */
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

/** `nix-command` is enabled because it was asked for in order to ask. */
const featuresOf = (configuration: Configuration): string[] =>
  textsOf(setting(configuration, 'experimental-features')).filter((name) => name !== 'nix-command')
const allowedUrisOf = (configuration: Configuration): string[] =>
  textsOf(setting(configuration, 'allowed-uris'))

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string' && each !== '') : []

const setting = (configuration: Configuration, name: string) => configuration[name]?.value

/** As Nix decides it: `auto` (which NIX_REMOTE replaces) is a daemon for who cannot write the store. */
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

function buildUsers(configuration: Configuration, say: (line: string) => void): string[] {
  const group = setting(configuration, 'build-users-group')
  const isRoot = process.getuid?.() === 0
  if (!isRoot || typeof group !== 'string' || group === '' || groupExists(group)) return []
  say(`there is no group ${group}: build-users-group is set to none, builds run as root`)
  return ['build-users-group =']
}

function groupExists(group: string): boolean {
  if (!existsSync('/etc/group')) return false
  return readFileSync('/etc/group', 'utf8')
    .split('\n')
    .some((line) => line.startsWith(`${group}:`))
}

function sandboxShell(configuration: Configuration, say: (line: string) => void): string[] {
  // A list; since 2.34 an object.
  const paths = setting(configuration, 'sandbox-paths')
  const none = typeof paths === 'object' && paths !== null && Object.keys(paths).length === 0
  if (!none || setting(configuration, 'sandbox') === false) return []
  const host = ['/bin', '/usr', '/lib', '/lib64'].filter((path) => existsSync(path))
  say(`this Nix's sandbox has no /bin/sh: sandbox-paths = ${host.join(' ')}`)
  return [`sandbox-paths = ${host.join(' ')}`]
}

/** Whether any binary cache can be reached. What is not HTTP, or goes through a proxy, is taken to be there. */
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

/** Not a request: Nix may trust certificates that this program does not. */
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
