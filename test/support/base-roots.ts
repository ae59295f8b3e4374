import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { downloadDebs } from './debian.ts'

/** Root file systems for base images, made from Debian packages, as archives. */

/** The Debian packages that a shell and its programs need. */
const debianPackages = [
  'base-files',
  'base-passwd',
  'dash',
  'coreutils',
  'libc6',
  'libacl1',
  'libattr1',
  'libgmp10',
  'libselinux1',
  'libpcre2-8-0',
]

/** A root file system of a few Debian packages, unpacked with merged `/usr`, with the accounts of `base-passwd`. */
export async function smallDebianRoot(folder: string): Promise<Buffer> {
  const [root, packages] = [join(folder, 'debian'), join(folder, 'debian-packages')]
  await mkdir(packages)
  const merged =
    'mkdir -p usr/bin usr/sbin usr/lib usr/lib64; for d in bin sbin lib lib64; do ln -s usr/$d $d; done'
  const unpack = `for each in ${packages}/*.deb; do dpkg-deb --fsys-tarfile $each | tar x --keep-directory-symlink; done`
  const accounts = 'for f in passwd group; do cp usr/share/base-passwd/$f.master etc/$f; done'
  await mkdir(root)
  await downloadDebs(debianPackages, packages)
  await execa(
    'sh',
    [
      '-ec',
      `${merged}; ${unpack}; ${accounts}; rm -rf usr/share/doc usr/share/locale; mkdir usr/share/doc; touch usr/share/doc/gone`,
    ],
    { cwd: root },
  )
  return archiveOf(root)
}

/** A minimal Debian installed by mmdebstrap. Takes a minute. */
export async function debianRoot(folder: string): Promise<Buffer> {
  const file = join(folder, 'debian.tar')
  await execa(
    'mmdebstrap',
    ['--quiet', '--variant=minbase', '--mode=root', '--format=tar', 'bookworm', file],
    { stdin: 'ignore' },
  )
  const bytes = await readFile(file)
  await rm(file)
  return bytes
}

/** A root file system like that of busybox images: one program, and links to it, without merged `/usr`. */
export async function busyboxRoot(folder: string): Promise<Buffer> {
  const [root, packages] = [join(folder, 'busybox'), join(folder, 'packages')]
  for (const each of ['bin', 'etc', 'tmp', 'home', 'root', 'usr/sbin', 'var/spool'])
    await mkdir(join(root, each), { recursive: true })
  await mkdir(packages)
  await downloadDebs(['busybox-static'], packages)
  await execa('sh', ['-c', 'dpkg-deb -x packages/*.deb unpacked'], { cwd: folder })
  await execa('cp', [join(folder, 'unpacked/bin/busybox'), join(root, 'bin/busybox')])
  for (const name of ['sh', 'ls', 'cat', 'id', 'stat'])
    await execa('ln', [join(root, 'bin/busybox'), join(root, 'bin', name)])
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/home:/bin/false\n',
  )
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n')
  return archiveOf(root)
}

/** Archives a folder, with root as the owner of all files. */
export async function archiveOf(folder: string): Promise<Buffer> {
  const args = [
    '-c',
    '-C',
    folder,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--sort=name',
    '--mtime=@1',
    '.',
  ]
  const { stdout } = await execa('tar', args, { encoding: 'buffer' })
  return Buffer.from(stdout)
}
