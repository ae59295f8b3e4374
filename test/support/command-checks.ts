/** How a command of the documents is tested. */
export type Check =
  /** Run by the test as written, in a folder with `nixery` in PATH; must exit with 0. */
  | { readonly run: true; readonly prints?: RegExp }
  /** A server that the test starts and stops once it is ready. */
  | { readonly serves: true }
  /** Run by another test, which contains this text. */
  | { readonly by: string; readonly text: string }
  /** Why it cannot be run here. */
  | { readonly not: string }

const compose = {
  not: 'needs Docker Compose; test/compose.test.ts checks its file, and test/compose-stack.test.ts runs it with podman-compose',
}
const file = 'docker compose --file deploy/compose.yaml'

/** The commands of docs/compose.md. */
export const composeCommands: Readonly<Record<string, Check>> = {
  'docker load --input nixery.tar': {
    by: 'test/self-image.test.ts',
    text: "'load', '--quiet', '--input', archive",
  },
  [`${file} up --detach server`]: compose,
  [`${file} logs server`]: compose,
  [`${file} exec server nixery gc --dry-run`]: compose,
  [`${file} --profile fleet exec front-1 nixery status`]: compose,
  [`${file} --profile fleet up --detach front-1 front-2 worker`]: compose,
  [`${file} --profile fleet down`]: compose,
  'curl --fail --silent --retry 120 --retry-delay 1 --retry-all-errors http://127.0.0.1:8081/readyz': compose,
  [`${file} --profile fleet up --detach --no-deps worker`]: compose,
  [`${file} --profile fleet up --detach --no-deps front-1`]: compose,
  [`${file} --profile fleet up --detach --no-deps front-2`]: compose,
  'docker compose down': compose,
  "printf '%s=%s\\n' POSTGRES_PASSWORD $(openssl rand -hex 24) S3_SECRET_KEY $(openssl rand -hex 24) WORKERS 2 >deploy/.env":
    compose,
  'docker pull 127.0.0.1:8080/shell/git': { by: 'test/support/clients/docker.ts', text: 'pull' },
}

/** The commands of the first recipe in docs/recipes.md. */
export const firstRecipeCommands: Readonly<Record<string, Check>> = {
  './bin/nixery recipe check recipes': { by: 'test/documents.test.ts', text: "'recipe', 'check'" },
  'NIXERY_RECIPES=recipes ./bin/nixery serve': { by: 'test/recipes/recipes.test.ts', text: 'NIXERY_RECIPES' },
  'podman run --rm --tls-verify=false --publish 127.0.0.1:8000:8000 127.0.0.1:8080/recipe/hello': {
    not: 'needs a network between containers; test/recipes/recipes.test.ts runs images of recipes',
  },
}

const inBackup = { by: 'test/backup.test.ts', text: "documents().get('docs/backup.md')" }
const installs = { not: 'changes this machine; test/package.test.ts installs and removes the package' }

/** The commands of docs/backup.md. */
export const backupCommands: Readonly<Record<string, Check>> = {
  'mkdir -p -m 700 /backup': inBackup,
  'sqlite3 /var/lib/nixery/catalog.db ".backup /backup/catalog.db"': inBackup,
  'if [ -e /var/lib/nixery/token.key ]; then cp --archive /var/lib/nixery/token.key /backup; fi': inBackup,
  'cp --archive --update --no-target-directory /var/lib/nixery/store /backup/store': inBackup,
  'cp --archive /etc/nixery.env /backup': inBackup,
  'systemctl stop nixery': inBackup,
  'rm -f /var/lib/nixery/catalog.db-wal /var/lib/nixery/catalog.db-shm': inBackup,
  'cp --archive --no-target-directory /backup/store /var/lib/nixery/store': inBackup,
  'cp /backup/catalog.db /var/lib/nixery': inBackup,
  'if [ -e /backup/token.key ]; then cp /backup/token.key /var/lib/nixery; fi': inBackup,
  'chown --recursive nixery:nixery /var/lib/nixery': inBackup,
  'systemctl start nixery': inBackup,
  'sudo -u nixery nixery --env-file /etc/nixery.env scrub': inBackup,
  'systemctl restart nixery': installs,
  'curl --fail --silent --retry 120 --retry-delay 1 --retry-all-errors http://127.0.0.1:8080/readyz':
    installs,
}

const agrees = { by: 'test/nixos.test.ts', text: 'sets the folders of the unit' }

const systemd = { not: 'needs systemd as the first process' }

/** The commands of docs/running.md that set up the systemd unit, and that of docs/front-server.md. */
export const unitCommands: Readonly<Record<string, Check>> = {
  'ln -s /opt/nixery/bin/nixery /usr/local/bin/nixery': systemd,
  'cp packaging/nixery.sysusers /etc/sysusers.d/nixery.conf': systemd,
  'systemd-sysusers': systemd,
  'cp packaging/nixery.service /etc/systemd/system/': systemd,
  'systemctl enable --now nixery': systemd,
  'usermod --append --groups nixery www-data': systemd,
  'install --mode 640 --group nixery /dev/null /etc/nixery.env': {
    not: 'needs root, and changes this machine',
  },
  "printf '%s\\n' NIXERY_DATA=/var/lib/nixery NIXERY_CACHE=/var/cache/nixery NIX_REMOTE=daemon >>/etc/nixery.env":
    agrees,
  'echo NIXERY_CHANNEL=nixos-unstable >>/etc/nixery.env': agrees,
}

const inGuide = { by: 'test/binary-cache-access.test.ts', text: "documents().get('docs/from-a-cache.md')" }

/** The commands of docs/from-a-cache.md. */
export const cacheCommands: Readonly<Record<string, Check>> = {
  'nix-store --generate-binary-cache-key cache.example.org-1 cache.secret cache.public': inGuide,
  'nix-build /path/to/my-packages --argstr system x86_64-linux --attr hello --no-out-link >paths': inGuide,
  'nix --extra-experimental-features nix-command copy --to "file://$PWD/cache?compression=zstd&secret-key=$PWD/cache.secret" $(cat paths)':
    inGuide,
  'NIXERY_ORIGIN=caches NIXERY_SUBSTITUTERS="file://$PWD/cache" NIXERY_TRUSTED_KEYS="$(cat cache.public)" NIXERY_PKGS_PATH=/path/to/my-packages nixery serve':
    inGuide,
  'nix copy --to s3://…': { not: 'needs a bucket' },
  'podman pull --tls-verify=false 127.0.0.1:8080/hello': {
    by: 'test/support/clients/podman.ts',
    text: 'pull',
  },
}

const sharedCache = (text: string): Check => ({ by: 'test/shared-cache.test.ts', text })

/** Commands of docs/scaling.md about a binary cache that workers share. */
export const sharedCacheCommands: Readonly<Record<string, Check>> = {
  'nix-store --generate-binary-cache-key NAME cache.key cache.public': {
    by: 'test/support/binary-cache.ts',
    text: "'--generate-binary-cache-key'",
  },
  'nix copy': sharedCache("'copy', '--from', store"),
  'nix copy --from file:///FOLDER': sharedCache("'copy', '--from', store"),
  'nixery build': {
    by: 'test/build-command.test.ts',
    text: "['build', 'shell/hello', '-o', `docker-archive:",
  },
}
