import { existsSync, readFileSync } from 'node:fs'
import { run } from './process.ts'

/** The part of Nix's configuration that decides what must be set for builds to work here. */
type Configuration = Readonly<Record<string, { value?: unknown }>>

const nixCommand = ['--extra-experimental-features', 'nix-command']
const probeTimeout = 3_000
const probeInterval = 5 * 60_000

/**
 * What to put before the user's own NIX_CONFIG so that builds work out of the box; whatever the user sets wins.
 * - As root without the group that `build-users-group` names, every build would fail.
 * - Without a reachable binary cache, every build would first wait for one.
 * - A Nix whose sandbox has no /bin/sh (Debian's) cannot run the simplest of builders.
 * `note` gets a line for each thing that was set.
 */
export function nixSettings(note: (line: string) => void): () => Promise<Record<string, string>> {
  let configuration: Promise<Configuration> | undefined
  let probed: { at: number; reachable: Promise<boolean> } | undefined
  const notes = new Set<string>()
  const say = (line: string) => {
    if (!notes.has(line)) note(line)
    notes.add(line)
  }

  return async () => {
    configuration ??= readConfiguration()
    const known = await configuration.catch((error: unknown) => {
      configuration = undefined // ask again next time
      throw error
    })
    const lines = [...buildUsers(known, say), ...sandboxShell(known, say)]
    if (!probed || Date.now() - probed.at > probeInterval) {
      probed = { at: Date.now(), reachable: anyReachable(known) }
    }
    if (!(await probed.reachable)) {
      say('no binary cache can be reached: substitute = false')
      lines.push('substitute = false')
    }
    return { NIX_CONFIG: [...lines, process.env['NIX_CONFIG'] ?? ''].join('\n') }
  }
}

/** `nix config show` since 2.20, `nix show-config` before. */
async function readConfiguration(): Promise<Configuration> {
  for (const verb of [['config', 'show'], ['show-config']]) {
    const result = await run('nix', [...nixCommand, ...verb, '--json'], { environment: {}, timeout: 20_000 })
    if (result.ok) return JSON.parse(result.stdout) as Configuration
  }
  return {}
}

const setting = (configuration: Configuration, name: string) => configuration[name]?.value

function buildUsers(configuration: Configuration, say: (line: string) => void): string[] {
  const group = setting(configuration, 'build-users-group')
  const isRoot = process.getuid?.() === 0
  const viaDaemon = process.env['NIX_REMOTE'] === 'daemon' || setting(configuration, 'store') === 'daemon'
  if (!isRoot || viaDaemon || typeof group !== 'string' || group === '' || groupExists(group)) return []
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
  const paths = setting(configuration, 'sandbox-paths')
  if (!Array.isArray(paths) || paths.length > 0) return []
  const host = ['/bin', '/usr', '/lib', '/lib64'].filter((path) => existsSync(path))
  say(`this Nix's sandbox has no /bin/sh: sandbox-paths = ${host.join(' ')}`)
  return [`sandbox-paths = ${host.join(' ')}`]
}

/** Whether any binary cache answers. What is not plain HTTP, or goes through a proxy, is taken to be there. */
async function anyReachable(configuration: Configuration): Promise<boolean> {
  const substituters = setting(configuration, 'substituters')
  if (setting(configuration, 'substitute') === false || !Array.isArray(substituters)) return true
  if (Object.keys(process.env).some((name) => /^(https?|all)_proxy$/i.test(name))) return true
  const answers = substituters.map(async (address: unknown) => {
    const url = typeof address === 'string' && URL.canParse(address) ? new URL(address) : undefined
    if (!url || !/^https?:$/.test(url.protocol)) return true
    return fetch(new URL('nix-cache-info', url), { signal: AbortSignal.timeout(probeTimeout) }).then(
      async (response) => response.body?.cancel().then(() => true) ?? true,
      () => false,
    )
  })
  return (await Promise.all(answers)).some(Boolean)
}
