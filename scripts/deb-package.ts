import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { execa } from 'execa'
import { programModules } from '../demo/program.ts'
import packageFile from '../package.json' with { type: 'json' }
import { completionOf } from '../src/cli/completion.ts'
import { wholeProgram } from '../src/cli/commands.ts'

const root = join(import.meta.dirname, '..')
const packaging = join(root, 'packaging')
const architectures = { x64: 'amd64', arm64: 'arm64' } as const

const control = (architecture: string, kilobytes: number): string => `Package: nixery
Version: ${packageFile.version}
Architecture: ${architecture}
Maintainer: Nixery <nixery@localhost>
Installed-Size: ${kilobytes}
Depends: adduser, git, libc6, libstdc++6
Recommends: libdeflate0, nix-setup-systemd, openssh-client
Section: net
Priority: optional
Description: container registry that builds images from Nix packages
 The name of an image lists the packages in it. While it is pulled, the
 server has Nix build or fetch them, packs them into layers that images share,
 and responds with the image.
`

/** Files of npm packages that no program reads. */
const isForDevelopers = /(?:^|\/)(?:\.[^/]+(?:\/.*)?|[^/]+\.html)$/

/**
 * Makes a Debian package of the program for this machine's architecture, including Node, which is too old in Debian 12.
 * @param folder where to write the file. `dist/` of this checkout must be up to date (scripts/emit.ts)
 * @returns the path of the file
 */
export async function makeDeb(folder: string): Promise<string> {
  const architecture = architectures[process.arch as keyof typeof architectures]
  const tree = await mkdtemp(join(tmpdir(), 'nixery-deb-'))
  const at = (path: string) => join(tree, path)
  const put = async (path: string, text: string | Uint8Array, mode = 0o644) => {
    await mkdir(dirname(at(path)), { recursive: true })
    await writeFile(at(path), text)
    await chmod(at(path), mode)
  }
  const copy = (from: string, to: string) => cp(join(root, from), at(to), { recursive: true })
  try {
    await chmod(tree, 0o755)
    for (const part of ['bin', 'dist', 'docs', 'scripts/node.sh', 'package.json', 'CHANGELOG.md']) {
      await copy(part, `usr/lib/nixery/${part}`)
    }
    await rm(at('usr/lib/nixery/dist/man'), { recursive: true })
    for (const entry of await programModules()) {
      const path = Buffer.from(entry.path, 'latin1').toString()
      if (entry.kind !== 'file' || isForDevelopers.test(path)) continue
      await put(`usr/lib/nixery/${path}`, entry.content.bytes)
    }
    const node = `node_modules/node-linux-${process.arch}`
    for (const part of ['bin/node', 'LICENSE', 'package.json']) {
      await copy(`${node}/${part}`, `usr/lib/nixery/${node}/${part}`)
    }
    await execa('strip', [at(`usr/lib/nixery/${node}/bin/node`)], { reject: false }) // saves a third
    await mkdir(at('usr/bin'))
    await symlink('../lib/nixery/bin/nixery', at('usr/bin/nixery'))

    const unit = await readFile(join(packaging, 'nixery.service'), 'utf8')
    await put(
      'usr/lib/systemd/system/nixery.service',
      unit.replace('/usr/local/bin/nixery', '/usr/bin/nixery'),
    )
    await put('etc/nixery.env', await readFile(join(packaging, 'deb/nixery.env')), 0o640)
    await put('usr/share/doc/nixery/copyright', await readFile(join(packaging, 'deb/copyright')))
    await put('usr/share/lintian/overrides/nixery', await readFile(join(packaging, 'deb/lintian-overrides')))
    const gzipped = (bytes: Buffer) => promisify(gzip)(bytes, { level: 9 })
    await put('usr/share/doc/nixery/changelog.gz', await gzipped(await readFile(join(root, 'CHANGELOG.md'))))
    for (const page of await readdir(join(root, 'dist/man'))) {
      await put(`usr/share/man/man1/${page}.gz`, await gzipped(await readFile(join(root, 'dist/man', page))))
    }
    const program = await wholeProgram()
    await put('usr/share/bash-completion/completions/nixery', completionOf('bash', program))
    await put('usr/share/zsh/vendor-completions/_nixery', completionOf('zsh', program))
    await put('usr/share/fish/vendor_completions.d/nixery.fish', completionOf('fish', program))

    for (const script of ['postinst', 'prerm', 'postrm']) {
      await put(`DEBIAN/${script}`, await readFile(join(packaging, 'deb', script)), 0o755)
    }
    await put('DEBIAN/conffiles', '/etc/nixery.env\n')
    const { stdout: size } = await execa('du', ['--summarize', '--block-size=1K', tree])
    // For `dpkg --verify`.
    const sums = await execa('sh', ['-c', 'find etc usr -type f -print0 | sort -z | xargs -0 md5sum'], {
      cwd: tree,
    })
    await put('DEBIAN/md5sums', `${sums.stdout}\n`)
    await put('DEBIAN/control', control(architecture, Number.parseInt(size, 10)))
    // Independent of the builder's umask.
    await execa('chmod', ['--recursive', 'u=rwX,go+rX,go-w', at('usr')])
    const file = join(folder, `nixery_${packageFile.version}_${architecture}.deb`)
    // Debian 11 cannot read zstd, and higher levels of xz take minutes for a tenth of the size.
    await execa('dpkg-deb', ['--build', '--root-owner-group', '-Zxz', '-z0', tree, file])
    return file
  } finally {
    await rm(tree, { recursive: true, force: true })
  }
}
