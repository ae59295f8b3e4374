import type { Config } from '../../config.ts'
import { nixSettings } from '../../nix/settings.ts'
import { tryBuild, tryEvaluation, type Trial } from '../../nix/trial.ts'
import { problem, type Finding } from './finding.ts'
import { plainEnvironment } from './surroundings.ts'

const installing =
  'apt-get install --no-install-recommends nix-bin, or, for another system, see https://nixos.org/download'

const storeAccess =
  'run as root, or use the daemon (NIX_REMOTE=daemon), or own the store: sudo chown -R "$USER" /nix; ' +
  'or serve packages from binary caches only: NIXERY_ORIGIN=caches'

/** Known reasons why all builds fail, and their fixes. */
const reasons: readonly (readonly [reason: RegExp, fix: string])[] = [
  [/cannot connect to (socket|daemon)/i, 'systemctl enable --now nix-daemon.socket'],
  [
    /not allowed to connect|not a trusted user|allowed-users/i,
    'add the user of the server to allowed-users in /etc/nix/nix.conf, then: systemctl restart nix-daemon',
  ],
  [
    /build users|build-users-group|nixbld/i,
    'groupadd -r nixbld, and add build users; or build-users-group = in /etc/nix/nix.conf',
  ],
  [/No space left|disk (is )?full/i, 'nix-collect-garbage --delete-older-than 30d'],
  [/Read-only file system/i, 'make /nix writable'],
  [/could not set permissions on|opening lock file/i, storeAccess],
  [
    /sandbox|unshare|namespace|pivot_root|setting up|Operation not permitted/i,
    "in a container, add --privileged or NIXERY_SANDBOX=false; elsewhere: echo 'sandbox = false' >>/etc/nix/nix.conf",
  ],
  [/Permission denied|cannot create/i, storeAccess],
]

const fixOf = (text: string): string | undefined => reasons.find(([reason]) => reason.test(text))?.[1]

/** Whether Nix is there and can build, and whether it does so in a sandbox; or whether it can evaluate, if it need not build. */
export async function checkNix(config: Config, signal: AbortSignal): Promise<Finding[]> {
  if (config.NIXERY_ROLE === 'front') return [] // needs no Nix
  const notes: string[] = []
  const environment = (lines?: readonly string[]) => plainEnvironment(config, 'realise', lines)
  try {
    if (config.NIXERY_ORIGIN === 'caches')
      return [evaluationFinding(await tryEvaluation(environment(), signal))]
    const { lines } = await nixSettings(
      () => environment(),
      (line) => notes.push(line),
    )()
    // A file of this program, which is not visible in a sandbox.
    const trial = await tryBuild(environment(lines), import.meta.filename, signal)
    return [
      ...notes.map((message): Finding => ({ about: 'nix', state: 'ok', message })),
      ...findingsOf(trial),
    ]
  } catch (error) {
    const finding = problem('nix', error)
    return [{ ...finding, fix: fixOf(finding.message) ?? installing }]
  }
}

function evaluationFinding(failure: readonly string[] | undefined): Finding {
  if (failure === undefined)
    return {
      about: 'nix',
      state: 'ok',
      message: 'Nix evaluates; it need not build with NIXERY_ORIGIN=caches',
    }
  return { about: 'nix', state: 'problem', message: `Nix cannot evaluate: ${failure.join('\n')}` }
}

/** The result of a trial build. */
export function findingsOf(trial: Trial): Finding[] {
  if (!trial.built) {
    const text = trial.lines.join('\n')
    const fix = fixOf(text)
    const last = trial.lines.filter((line) => line.trim() !== '').slice(-5)
    const message = `Nix cannot build${trial.timedOut ? ' in time' : ''}: ${last.join('\n') || 'it gave no reason'}`
    return [{ about: 'nix', state: 'problem', message, ...(fix !== undefined && { fix }) }]
  }
  const built: Finding = { about: 'nix', state: 'ok', message: 'Nix builds' }
  if (trial.sandboxed) return [built, { about: 'sandbox', state: 'ok', message: 'builds run in a sandbox' }]
  return [
    built,
    {
      about: 'sandbox',
      state: 'warning',
      message: 'builds run without a sandbox: packages can read files of this machine, and reach its network',
      fix: "echo 'sandbox = true' >>/etc/nix/nix.conf; in a container: --privileged and NIXERY_SANDBOX=true",
    },
  ]
}
