import assert from 'node:assert/strict'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'

// Runs the demo as an unprivileged user without an account.

const user = 23_456
const root = join(import.meta.dirname, '..')
const setUser = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--']
const [program, ...args] = [...setUser, 'unshare', '--user', 'true']
const tried = await execa(program ?? '', args, { reject: false })
const skip = tried.failed ? `needs root, and user namespaces for other users: ${tried.stderr}` : false

describe('the demo of an unprivileged user', { skip }, () => {
  let folder: string
  const at = (name: string) => join(folder, name)
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-user-'))
    await chmod(folder, 0o755)
    for (const name of ['checkout', 'programs', 'run', 'nix']) await mkdir(at(name))
    for (const name of ['', 'run']) await chown(at(name), user, user)
    await chmod(at('run'), 0o700)
  })
  after(async () => {
    // The process that holds podman's namespaces.
    const pid = await readFile(at('run/libpod/tmp/pause.pid'), 'utf8').catch(() => '')
    if (pid !== '') process.kill(Number(pid))
    await execa('chmod', ['--recursive', 'u+w', folder])
    await rm(folder, { recursive: true })
  })

  /** Runs a script of the checkout, which may be in a folder that only root can access. */
  function asUser(script: readonly string[], { daemon = false, path = process.env['PATH'] ?? '' } = {}) {
    const withDaemon = `mount --bind ../nix /nix; NIX_CONFIG="build-users-group =" nix-daemon 2>/dev/null & pid=$!
      trap 'kill $pid' EXIT
      until [ -S /nix/var/nix/daemon-socket/socket ]; do sleep 0.1; done`
    const commands = `mount --bind "$1" checkout; cd checkout; ${daemon ? withDaemon : ':'}
      shift; PATH=$path ${setUser.join(' ')} ./scripts/node "$@"`
    const env = { HOME: folder, XDG_RUNTIME_DIR: at('run'), NIX_REMOTE: '', NIX_CONFIG: '', path }
    const options = { cwd: folder, env, reject: false, stdin: 'ignore' } as const
    return execa('unshare', ['--mount', 'sh', '-euc', commands, 'sh', root, ...script], options)
  }
  const evaluate = (text: string): string[] => [
    '--input-type=module-typescript',
    '--eval',
    `import { canUseNix, runWithOwnStore } from './scripts/own-store.ts'; ${text}`,
  ]

  it('builds in a Nix store in the home folder', async () => {
    const derivation = `derivation {
      name = "own"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built >$out; :" ];
    }`
    const build = ['nix-build', '--no-out-link', '--option', 'sandbox', 'false', '-E', derivation]
    const parameters = JSON.stringify([at('own'), build])
    const { stdout, stderr } = await asUser(
      evaluate(`if (!(await canUseNix())) process.exitCode = await runWithOwnStore(...${parameters})`),
    )
    assert.match(stdout, /^\/nix\/store\/\w{32}-own$/, stderr)
    assert.equal(await readFile(join(at('own'), stdout.slice(1)), 'utf8'), 'built\n')
  })

  it('uses the Nix daemon if there is one', async () => {
    const { stdout, stderr } = await asUser(evaluate('console.log(await canUseNix())'), { daemon: true })
    assert.equal(stdout, 'true', stderr)
  })

  it('prints the command to run as root if programs are missing', async () => {
    for (const name of ['sh', 'dirname', 'uname', 'cmp', 'apt-get', 'setpriv']) {
      await symlink(`/usr/bin/${name}`, join(at('programs'), name))
    }
    const { stdout, stderr, exitCode } = await asUser(['demo/run.ts'], { path: at('programs') })
    assert.equal(exitCode, 1, stdout)
    assert.match(
      stderr,
      /^demo: nix-bin, .*must be installed, and sudo .*: run this as root, .*: apt-get install .*podman/,
    )
    assert.equal(stderr.split('\n').length, 1)
  })
})
