import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestOf } from '../../src/image/digest.ts'
import { pushImage, pushIndex } from './base-images.ts'
import { archiveOf, busyboxRoot, debianRoot, smallDebianRoot } from './base-roots.ts'

/** Writes a recipe into a folder. */
export const writeRecipe = (folder: string, name: string, lines: readonly string[]): Promise<void> =>
  writeFile(join(folder, `${name}.toml`), `${lines.join('\n')}\n`)

/**
 * Pushes base images to `bases/` of a registry and writes recipes that use them.
 * @param folder for temporary files; afterwards `upper` in it has the contents of the first base's second layer
 * @param whole whether to install a complete Debian
 * @returns pinned references of the bases
 */
export async function pushBases(address: string, folder: string, recipes: string, whole: boolean) {
  const upper = join(folder, 'upper')
  await mkdir(join(upper, 'usr/share/doc/kept'), { recursive: true })
  await mkdir(join(upper, 'etc'), { recursive: true })
  await writeFile(join(upper, 'usr/share/doc/.wh..wh..opq'), '')
  await writeFile(join(upper, 'etc/.wh.issue'), '')
  const [debian, busybox, second] = await Promise.all([
    (whole ? debianRoot : smallDebianRoot)(folder),
    busyboxRoot(folder),
    archiveOf(upper),
  ])
  const made = await pushImage(address, 'bases/debian', '12', {
    layers: [debian, second],
    form: 'docker',
    compression: 'gzip',
    config: {
      Env: ['PATH=/opt/own/bin:/usr/bin:/bin', 'FROM_BASE=yes'],
      Cmd: ['dash'],
      Labels: { 'org.example.base': 'debian' },
    },
  })
  const debianBase = `${address}/bases/debian@${made.digest}`
  const small = { layers: [busybox], form: 'oci', compression: 'gzip' } as const
  const zstd = await pushImage(address, 'bases/zstd', '1', { ...small, compression: 'zstd' })
  const index = await pushIndex(address, 'bases/busybox', '1', {
    amd64: await pushImage(address, 'bases/busybox', 'a', small),
    arm64: await pushImage(address, 'bases/busybox', 'b', { ...small, architecture: 'arm64' }),
  })
  const busyboxBase = `${address}/bases/busybox@${index.digest}`
  const other = await pushImage(address, 'bases/other', '1', { ...small, architecture: 'arm64' })
  const otherBase = `${address}/bases/other@${other.digest}`
  await writeRecipe(recipes, 'debian', [
    `base = "${address}/bases/debian:12@${made.digest}"`,
    'packages = ["hello", "bash"]',
    'user = "app"',
    'workdir = "/srv/app"',
    'entrypoint = ["/bin/bash", "-c"]',
    'accounts = [{ name = "app", uid = 1234, groups = ["staff"] }]',
    'files = [{ path = "/etc/app.conf", text = "ours" }]',
    'platforms = ["amd64"]',
    '[env]',
    'OURS = "1"',
  ])
  const own = ['packages = ["hello"]', 'entrypoint = ["/bin/sh", "-c"]', 'user = "nobody"']
  await writeRecipe(recipes, 'busybox', [`base = "${busyboxBase}"`, ...own])
  await writeRecipe(recipes, 'busybox-zstd', [`base = "${address}/bases/zstd@${zstd.digest}"`, ...own])
  return { debian: debianBase, busybox: busyboxBase, other: otherBase }
}

/** Commands, and what each runtime must print for them. */
export const rows: readonly (readonly [name: string, script: string, expected: string])[] = [
  [
    'debian',
    'id -u; id -G; pwd; echo $FROM_BASE $OURS; cat /etc/app.conf',
    '1234\n1234 50\n/srv/app\nyes 1\nours',
  ],
  ['debian', 'hello -g ours; dash -c "echo theirs"; readlink /bin', 'ours\ntheirs\nusr/bin'],
  [
    'debian',
    'readlink /bin/hello | cut -c-11; readlink /usr/bin/dash; ls -d /usr/bin/dash',
    '/nix/store/\n/usr/bin/dash',
  ],
  [
    'debian',
    'head -n1 /etc/passwd | cut -d: -f1,3-; tail -n1 /etc/passwd; tail -n1 /etc/group',
    'root:0:0:root:/root:/bin/bash\napp:x:1234:1234::/home/app:/bin/sh\napp:x:1234:',
  ],
  [
    'debian',
    'stat -c "%a %u %g" /tmp /var/mail /srv/app; ls /usr/share/doc; test -e /etc/issue || echo no issue',
    '1777 0 0\n2775 0 8\n755 1234 1234\nkept\nno issue',
  ],
  [
    'debian',
    'echo $PATH; . /etc/os-release; echo $ID',
    '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/own/bin\ndebian',
  ],
  [
    'busybox',
    'hello -g ours; id -un; stat -c %F /bin; readlink /bin/hello | cat > /dev/null; ls /bin/hello',
    'ours\nnobody\ndirectory\n/bin/hello',
  ],
]

/**
 * Pushes a base and then replaces its layer on the registry's disk by zeros of the same length.
 * @param folder the folder whose subfolder `registry` has the registry's data
 */
export async function pushTampered(address: string, folder: string): Promise<string> {
  const layer = await archiveOf(join(folder, 'upper'))
  const zeros = Buffer.alloc(layer.length)
  const image = { form: 'oci', compression: 'none' } as const
  const made = await pushImage(address, 'bases/tampered', '1', { ...image, layers: [layer] })
  await pushImage(address, 'bases/zeros', '1', { ...image, layers: [zeros] })
  const blob = (bytes: Buffer) => {
    const hex = digestOf(bytes).slice('sha256:'.length)
    return join(folder, 'registry/data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
  }
  await cp(blob(zeros), blob(layer))
  return `${address}/bases/tampered@${made.digest}`
}
