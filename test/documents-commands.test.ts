import assert from 'node:assert/strict'
import { access, mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import {
  backupCommands,
  cacheCommands,
  composeCommands,
  firstRecipeCommands,
  unitCommands,
  type Check,
  sharedCacheCommands,
} from './support/command-checks.ts'
import { launcher } from './support/command.ts'
import { commandsIn, documents } from './support/documents.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

// Every command in the documents is run by this or another test, or is listed with the reason why it cannot be run.

const itself = { not: 'runs this test' }
const minutes = { not: 'takes minutes' }
const elsewhere = (by: string, text: string) => ({ by, text })
const cluster = { not: 'needs a cluster; test/helm.test.ts checks the rendered chart' }
const onFleet = (text: string) => elsewhere('test/fleet-operations.test.ts', text)
const ofPodman = (text: string) => elsewhere('test/support/clients/podman.ts', text)
const ofItself = (text: string) => elsewhere('test/self-image.test.ts', text)
const inImages = (text: string) => elsewhere('test/images/nix-and-languages.test.ts', text)

const checks: Readonly<Record<string, Check>> = {
  ...backupCommands,
  ...composeCommands,
  ...firstRecipeCommands,
  ...sharedCacheCommands,
  ...cacheCommands,
  'podman pull --tls-verify=false 127.0.0.1:8080/shell/git/htop': ofPodman('pull'),
  './bin/nixery serve': { serves: true },
  'podman run --rm -it 127.0.0.1:8080/shell/git/htop': ofPodman("'run'"),
  'openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=nixery -addext subjectAltName=DNS:nixery.example.org -keyout tls.key -out tls.crt':
    elsewhere('test/support/certificates.ts', "'req', ...kind"),
  'NIXERY_PKGS_PATH=/path/to/nixpkgs ./bin/nixery serve': { serves: true },
  'NIXERY_PKGS_PATH=/path/to/my-packages ./bin/nixery serve': { serves: true },
  'NIXERY_PLATFORMS=amd64,arm64 NIXERY_CHANNEL=nixos-25.11 ./bin/nixery serve': {
    not: 'fetches nixpkgs from the internet; test/platforms.test.ts serves both platforms from a folder',
  },
  'nixery search': elsewhere('test/fleet.test.ts', "'search', 'deep'"),
  'nixery search json': elsewhere('test/search.test.ts', "['search', 'greets'"),
  'npm run demo': {
    not: 'takes half a minute, and the tests cover its steps; scripts/own-store.test.ts tests it for unprivileged users',
  },
  'npm run demo -- --keep': { not: 'leaves a server running' },
  'npm ci': { not: 'replaces the packages that this test runs on; scripts/setup.sh has run it' },
  'npm ci --omit=dev': { not: 'replaces the packages that this test runs on' },
  'npm test': itself,
  'npm test test/clients/podman.test.ts': itself,
  'npm test test/images.test.ts': itself,
  'npm run check': { not: 'runs checks and unit tests that this run includes' },
  'npm run unit': { not: 'runs unit tests that this run includes' },
  'npm run lint': { not: 'runs checks that this run includes' },
  'npm run format': { not: 'changes files' },
  'npm run deb': elsewhere('test/package.test.ts', 'makeDeb('),
  'apt install ./nixery_0.1.0_amd64.deb': elsewhere('test/package.test.ts', 'dpkg --install'),
  'npm run pack': elsewhere('test/package.test.ts', "'pack'"),
  'npm run clients': { not: 'runs test/clients with more releases, which it downloads' },
  'npm run images': { not: 'runs test/images with more runtimes, which it downloads' },
  'docker image prune --all --filter until=24h': { not: 'removes images of this machine' },
  'npm run bench': minutes,
  'npm run bench -- --quick': minutes,
  'npm run bench -- --only cache --slow': minutes,
  'npm run bench -- --only cold --only blob --runs 9': minutes,
  'npm run bench -- --compare bench/results/….json': minutes,
  'npm run bench -- --set NIXERY_COMPRESSION=zstd': minutes,
  'npm run caches': elsewhere('test/binary-caches.test.ts', 'are the same as from the store'),
  'npm run faults': elsewhere('test/reliability/kills.test.ts', 'runKills'),
  'npm run faults -- --seed 20261121': elsewhere('test/reliability/kills.test.ts', 'runKills'),
  'npm run fleet': elsewhere('test/fleet.test.ts', 'runFleetFaults'),
  'npm run fuzz': elsewhere('test/fuzz/server.test.ts', 'fuzzServer'),
  'npm run fuzz -- --seed 20261121': elsewhere('test/fuzz/server.test.ts', 'fuzzServer'),
  './scripts/run scripts/compressors.ts': minutes,
  './scripts/node scripts/configuration.ts --write': elsewhere('test/documents.test.ts', 'generatedPages()'),
  './scripts/node demo/make.ts --directory packages --arch amd64,arm64': elsewhere(
    'scripts/test.ts',
    'ensureDemoPackageSet',
  ),
  'NIXERY_RECIPES=packaging/recipes ./bin/nixery build recipe/nixery --name nixery:self --output docker-archive:nixery.tar':
    ofItself("'build', name, '--output', `docker-archive:"),
  'podman pull docker-archive:nixery.tar': ofItself('docker-archive:${archive}'),
  'podman load --input nixery.tar': ofItself("'load', '--quiet', '--input', archive"),
  'podman run --name nixery --publish 127.0.0.1:8080:8080 --volume nixery:/var/lib/nixery nixery:self':
    ofItself("'--name', 'plain'"),
  "podman run --name nixery --publish 127.0.0.1:8080:8080 --volume nixery:/var/lib/nixery --volume ./packages:/packages:ro --env NIXERY_PKGS_PATH=/packages --env NIX_CONFIG='substitute = false' nixery:self":
    elsewhere('test/self-image.test.ts', 'NIXERY_PKGS_PATH=/packages'),
  'podman exec nixery nixery gc --dry-run': elsewhere('test/self-image.test.ts', "'gc', '--dry-run'"),
  'podman exec nixery nixery config': elsewhere('test/self-image.test.ts', "inside('nixery', 'config')"),
  'podman exec nixery nix-store --gc': ofItself("'exec', 'serves', 'nix-store', '--gc'"),
  'sudo -u nixery nixery --env-file /etc/nixery.env doctor': elsewhere('test/doctor.test.ts', "'doctor'"),
  'podman exec nixery nixery doctor': elsewhere('test/doctor.test.ts', "'doctor'"),
  'nixery completion': elsewhere('test/command-line.test.ts', "completionOf('bash'"),
  'nixery doctor': elsewhere('test/doctor.test.ts', "'doctor'"),
  'nixery config': { run: true, prints: /^NIXERY_DATA /m },
  'nixery gc': { run: true },
  'nixery gc --dry-run': { run: true },
  'nixery scrub': { run: true },
  'docker login': elsewhere('test/access-document.test.ts', 'docker login'),
  'podman login': elsewhere('test/access-document.test.ts', 'skopeo login'),
  'nixery status': onFleet("nixery('status')"),
  'nixery drain PROCESS…': onFleet("nixery('drain', oldest"),
  'nixery serve': { serves: true },
  'nixery index': elsewhere('test/versions.test.ts', "'index', ...args"),
  'nixery index --from COMMIT --every 7d': elsewhere('test/versions.test.ts', "'--from', first, '--every'"),
  'nixery index --import FILE': elsewhere('test/versions.test.ts', "'--import', file"),
  'nixery plan recipe/web': elsewhere('test/recipes/set.test.ts', "'plan', 'recipe/web'"),
  'nixery recipe lock [folder]': elsewhere('test/recipes/bases.test.ts', "'recipe', 'lock'"),
  'nixery recipe check [folder]': elsewhere('test/recipes/set.test.ts', "'recipe', 'check'"),
  'nixery plan': elsewhere('test/versions.test.ts', "'plan', 'tool--1.10/tool'"),
  'nixery plan python3--3.11/nodejs': elsewhere('test/versions.test.ts', "'plan', 'tool--1.10/tool'"),
  'nixery access explain': elsewhere('test/access-policy.test.ts', "'access', 'explain'"),
  'nixery popcount': elsewhere('test/popcount.test.ts', 'popcount'),
  "nixery build 'gtk+3'": elsewhere('test/words.test.ts', "'plan', 'gtk+3'"),
  'nixery plan \'git/nodePackages."@angular/cli"\'': elsewhere(
    'src/image/command-line.test.ts',
    'nodePackages."@angular/cli"',
  ),
  'podman run --rm -it registry.example.org/shell/nix': {
    not: 'uses an example registry; test/images/nix-and-languages.test.ts starts such containers',
  },
  'nix-build -E \'derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }\'':
    inImages('nix-build --no-out-link -E'),
  'nix-store --verify --check-contents': inImages('nix-store --verify --check-contents'),
  'nix-store --gc': inImages('nix-store --gc'),
  'nix-build --store $HOME/nix …': inImages('nix-build --store $HOME/nix'),
  'podman run --security-opt seccomp=unconfined --security-opt unmask=ALL --user 1000 --env HOME=/tmp …':
    inImages('--security-opt=unmask=ALL'),
  'nixery build shell/git/htop --output docker-archive:- | podman load': elsewhere(
    'test/snippets.test.ts',
    "snippet('build')",
  ),
  'NIXERY_RECIPES=packaging/recipes ./bin/nixery push recipe/nixery registry.example.org/nixery:0.1.0':
    elsewhere('test/push-command.test.ts', "['push', ...args"),
  'git ls-remote https://github.com/NixOS/nixpkgs nixos-25.11': { not: 'sends requests to a forge' },
  "skopeo inspect --format '{{.Digest}}' docker://nixery.example.org/ci/nodejs": elsewhere(
    'test/access-basic.test.ts',
    "execa('skopeo', ['inspect'",
  ),
  'helm install nixery deploy/helm --namespace nixery --create-namespace --values values.yaml': elsewhere(
    'test/helm.test.ts',
    "helm.run('install'",
  ),
  'kubectl --namespace nixery create secret generic bucket --from-literal=S3_ACCESS_KEY=… --from-literal=S3_SECRET_KEY=…':
    cluster,
  'kubectl debug --image=nixery.example.org/shell/strace POD': cluster,
  'LD_LIBRARY_PATH=/lib ./program': { not: 'runs inside a container' },
  'nix-store --version': { run: true, prints: /\d/ },
  'nix build --impure': { not: 'needs nixpkgs' },
  ...unitCommands,
  'rm -rf ~/.local/share/nixery ~/.cache/nixery': { not: 'removes files of this machine' },
  'nix-collect-garbage': { not: 'removes files of this machine' },
  'docker login -u key -p nxk_… registry.example': { not: 'uses an example host' },
  'nixery key': elsewhere('test/access-keys.test.ts', "['key', ...args"),
  'nixery key list': elsewhere('test/access-keys.test.ts', "['key', 'list']"),
  'nixery key revoke ID': elsewhere('test/access-keys.test.ts', "key('revoke'"),
  'kubectl get --raw /.well-known/openid-configuration': cluster,
  'kubectl get --raw /openid/v1/jwks > keys.json': cluster,
  'kubectl create secret docker-registry': cluster,
  'kubectl cp': cluster,
  'docker pull registry.example/recipe/web': { not: 'uses an example host' },
  'sudo -u nixery nixery --env-file /etc/nixery.env gc --dry-run': elsewhere(
    'test/settings.test.ts',
    "'--env-file'",
  ),
  'sudo -u nixery nixery --env-file /etc/nixery.env config': elsewhere(
    'test/settings.test.ts',
    "'--env-file', file",
  ),
}

const root = join(import.meta.dirname, '..')
const documented = [...documents()].flatMap(([path, text]) =>
  commandsIn(text).map((command) => ({ path, command })),
)

describe('the commands in the documents', () => {
  it('are exactly those of the table', () => {
    const unknown = documented.filter(({ command }) => checks[command] === undefined)
    assert.deepEqual(unknown, [], 'add them to the table, with the test that runs them')
    const named = new Set(documented.map(({ command }) => command))
    assert.deepEqual(
      Object.keys(checks).filter((command) => !named.has(command)),
      [],
      'no document contains these any more',
    )
  })

  for (const [command, check] of Object.entries(checks)) {
    if ('by' in check) {
      it(`${command}: run by ${check.by}`, async () => {
        assert.ok((await readFile(join(root, check.by), 'utf8')).includes(check.text), check.text)
      })
    }
  }
})

describe('a command in the documents', () => {
  let workspace: Workspace
  let environment: Record<string, string>
  before(async () => {
    workspace = await openWorkspace()
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    const bin = join(workspace.folder, 'bin')
    await mkdir(bin)
    await symlink(launcher, join(bin, 'nixery'))
    environment = {
      PATH: `${bin}:${process.env['PATH']}`,
      NIXERY_DATA: join(workspace.folder, 'data'),
      NIXERY_PKGS_PATH: set,
      NIXERY_HOST: '127.0.0.1',
      PORT: '0',
      CI: '',
    }
    await execa('nixery', ['build', 'hello'], { env: environment })
    await access(join(environment['NIXERY_DATA'] ?? '', 'catalog.db'))
  })
  after(() => workspace.dispose())

  for (const [command, check] of Object.entries(checks)) {
    if ('run' in check) {
      it(`${command}: works`, async () => {
        const { stdout } = await execa('bash', ['-euc', command], { cwd: root, env: environment })
        if (check.prints) assert.match(stdout, check.prints)
      })
    }
    if ('serves' in check) {
      it(`${command}: starts a server`, async () => {
        // Replaces the placeholders of package sets.
        const real = command.replace(/\/path\/to\/\S+/, environment['NIXERY_PKGS_PATH'] ?? '')
        const server = execa('bash', ['-euc', `exec env ${real}`], {
          cwd: root,
          env: environment,
          reject: false,
        })
        for await (const line of server.iterable()) {
          if (line.includes('"msg":"ready"')) server.kill('SIGTERM')
        }
        assert.equal((await server).exitCode, 0)
      })
    }
  }
})
