import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { makeDeb } from '../scripts/deb-package.ts'
import { canOverlay } from '../scripts/podman.ts'
import { startServer } from '../scripts/server.ts'
import { underSystemd } from './support/systemd.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

// Installs the result of `npm run pack` in an empty folder, with the system's Node and npm.

const root = join(import.meta.dirname, '..')

const packages =
  '{ system, ... }: { hello = derivation { name = "hello"; inherit system; builder = "/bin/sh"; args = [ "-c" "echo hi >$out" ]; }; }'

describe('the npm package', { timeout: 900_000 }, () => {
  let workspace: Workspace
  let folder: string
  let deb: string | undefined
  before(async () => {
    workspace = await openWorkspace()
    folder = join(workspace.folder, 'empty')
    await mkdir(folder)
  })
  after(() => workspace.dispose())

  it('contains JavaScript, and no tests', async () => {
    await rm(join(root, 'dist'), { recursive: true, force: true })
    const args = ['run', '--silent', 'pack', '--', '--json', '--pack-destination', workspace.folder]
    const packed = await execa('npm', args, { cwd: root })
    const [packageInfo] = JSON.parse(packed.stdout) as { files: { path: string }[] }[]
    const paths = packageInfo?.files.map(({ path }) => path) ?? []
    for (const path of ['bin/nixery', 'dist/src/cli/main.js', 'dist/src/nix/lookup.nix', 'README.md']) {
      assert.ok(paths.includes(path), path)
    }
    assert.deepEqual(
      paths.filter((path) => /\.ts$|\.test\.|testing\.js$|onformance\.js$|^src\//.test(path)),
      [],
    )
  })

  it('can be installed, and serves', async () => {
    const archive = join(workspace.folder, 'nixery-0.1.0.tgz')
    const npm = { cwd: folder, env: { npm_config_update_notifier: 'false' } }
    await execa('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', archive], npm)
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    const printed = await execa('npx', ['--no-install', 'nixery', 'config'], npm)
    assert.match(printed.stdout, /^NIX_TIMEOUT +60 +default$/m)
    const environment = {
      NIXERY_PKGS_PATH: set,
      NIXERY_DATA: join(workspace.folder, 'data'),
      STORAGE_PATH: '',
    }
    const server = await startServer(environment, join(folder, 'node_modules/.bin/nixery'))
    try {
      const { response, text } = await requestV2(server, 'hello/manifests/latest')
      assert.equal(response.status, 200, text)
      const docs = await fetch(`http://${server.address}/docs/configuration`)
      assert.match(await docs.text(), /<h1 id="settings">Settings<\/h1>/)
    } finally {
      assert.equal(await server.stop(), 0)
    }
  })

  // Uses what the first test has compiled.
  it('can also be a Debian package, which leaves nothing after a purge', async (test) => {
    if (!(await canOverlay(join(workspace.folder, 'probe')))) return test.skip('overlays cannot be mounted')
    deb = await makeDeb(workspace.folder)
    // Half a minute, where it is installed.
    if (existsSync('/usr/bin/lintian')) {
      const { stdout, stderr } = await execa('lintian', ['--fail-on', 'none', deb])
      assert.equal(stdout, '', stderr)
    }
    const base = join(workspace.folder, 'system')
    await mkdir(base)
    // An overlay keeps all changes to this system in a tmpfs.
    const script = `
      mount -t tmpfs tmpfs "$1"; cd "$1"; mkdir upper work root
      mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
      cp "$2" root/root/package.deb; mount -t proc proc root/proc
      chroot root /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc '
        rm --force /var/lib/man-db/auto-update # which reads all manual pages of the system, twice
        dpkg --install /root/package.deb >&2
        nixery --version
        su -s /bin/sh nixery -c "nixery --env-file /etc/nixery.env config"
        stat --format "%a %U %G" /etc/nixery.env
        ls /usr/share/man/man1/nixery.1.gz /usr/share/bash-completion/completions/nixery
        systemd-analyze verify --man=no nixery.service || [ $? -eq 127 ]
        mkdir /var/lib/nixery /var/cache/nixery
        dpkg --purge nixery >&2; ! getent passwd nixery'
      find upper -name "*nixery*" ! -type c`
    const installing = await execa('unshare', ['--mount', 'sh', '-euc', script, 'sh', base, deb])
    const [version, ...printed] = installing.stdout.split('\n')
    assert.equal(version, '0.1.0')
    const settings = printed.filter((line) => line.startsWith('NIXERY_DATA'))
    assert.match(settings.join('\n'), /^NIXERY_DATA +\/var\/lib\/nixery +\/etc\/nixery\.env$/m)
    assert.deepEqual(printed.slice(-3), [
      '640 root nixery',
      '/usr/share/bash-completion/completions/nixery',
      '/usr/share/man/man1/nixery.1.gz',
    ])
  })

  it('serves under systemd, with the additions to its unit that the guide shows', async (test) => {
    if (process.env['NIXERY_CLIENTS'] !== 'all') return test.skip('npm run clients runs it')
    if (!existsSync('/lib/systemd/systemd')) return test.skip('there is no /lib/systemd/systemd')
    if (!(await canOverlay(join(workspace.folder, 'probe')))) return test.skip('overlays cannot be mounted')
    deb ??= await makeDeb(workspace.folder)
    const guide = await readFile(join(root, 'docs/running.md'), 'utf8')
    const [additions = ''] = /(?<=^```ini\n)\[Service\]\n.*?LoadCredential=.*?(?=^```$)/ms.exec(guide) ?? []
    const prepare = `
      dpkg --install ${deb}
      mkdir -p /srv/nixery /srv/packages /etc/systemd/system/nixery.service.d; chown nixery: /srv/nixery
      echo '${packages}' >/srv/packages/default.nix
      openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=localhost \
        -keyout /etc/ssl/private/nixery.pem -out /etc/ssl/certs/nixery.pem
      chmod 600 /etc/ssl/private/nixery.pem
      printf '%s\n' NIXERY_PKGS_PATH=/srv/packages PORT=443 STORAGE_PATH=/srv/nixery >/etc/nixery.env
      printf '%s' '${additions}' >/etc/systemd/system/nixery.service.d/local.conf`
    const probe = `
      systemd-run --quiet --setenv=NIX_CONFIG='build-users-group =
      sandbox = false
      substitute = false' nix-daemon
      systemctl start nixery
      get() { curl --silent --insecure --output /dev/null --write-out '%{http_code}\n' "https://127.0.0.1/$1"; }
      until [ "$(get readyz)" = 200 ]; do systemctl --quiet is-active nixery; sleep 0.1; done
      get v2/hello/manifests/latest
      stat --format '%U %a' /srv/nixery/layers
      su -s /bin/sh nixery -c 'cat /etc/ssl/private/nixery.pem' 2>/dev/null || echo 'the key is private'
      systemctl stop nixery; systemctl show --property=Result --value nixery`
    const printed = await underSystemd(join(workspace.folder, 'booted'), prepare, probe)
    assert.equal(printed, '200\nnixery 750\nthe key is private\nsuccess\n')
  })
})
