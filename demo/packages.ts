import type { UnitDefinition } from './definition.ts'
import { architectures, sitePerl } from './layout.ts'

// The loader of nixpkgs searches its own folder, but no system folders and no system cache. Debian's loader would hide
// libraries that are missing from an image: overwrite its folders with ones that do not exist.
const triplets = Object.values(architectures).map(({ triplet }) => triplet)
const loaderTexts = ['', ...triplets.map((triplet) => `${triplet}/`)]
  .flatMap((folder) => [`/lib/${folder}`, `/usr/lib/${folder}`])
  .concat('/etc/ld.so.cache')
  .map((text) => ({ text, by: `/nix${text.slice(4)}`, inFilesNamed: 'ld-linux' }))

const terminfo = '/etc/terminfo:/lib/terminfo:/usr/share/terminfo'

/** Units that need more than their .deb, by Debian's names, or by the name of a group of .debs. */
export const units: Record<string, UnitDefinition> = {
  '7zip': { pname: '7zz', links: { 'bin/7z': '7zz' }, mainProgram: '7zz' },
  bash: { links: { 'bin/sh': 'bash' }, outputs: ['out', 'man', 'doc'], license: 'GPL-3.0-or-later' },
  // Programs of util-linux that are separate packages in Debian.
  'util-linux': {
    debs: ['util-linux', 'mount', 'bsdutils', 'bsdextrautils'],
    without: ['etc'],
    priority: 6,
  },
  coreutils: { priority: 10, license: 'GPL-3.0-or-later' },
  bat: { links: { 'bin/bat': 'batcat' }, mainProgram: 'bat' },
  'busybox-static': {
    pname: 'busybox',
    ignoresDepends: true,
    priority: 15,
    license: 'GPL-2.0-only',
    // The seed's busybox has the same version, and so the same applets, and it runs on the host.
    finish: 'for applet in $(busybox --list); do [ -e bin/$applet ] || ln -s busybox bin/$applet; done',
  },
  'ca-certificates': {
    pname: 'nss-cacert',
    ignoresDepends: true,
    without: ['bin', 'etc', 'lib', 'share/man'],
    finish:
      'mkdir -p etc/ssl/certs; cat share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-bundle.crt; ' +
      'ln -s ca-bundle.crt etc/ssl/certs/ca-certificates.crt',
  },
  cowsay: { wrappers: { 'bin/cowsay': { COWPATH: '@out@/share/cowsay/cows${COWPATH:+:$COWPATH}' } } },
  curl: { outputs: ['out', 'man', 'doc'], license: 'curl' },
  'fd-find': { pname: 'fd', links: { 'bin/fd': 'fdfind' }, mainProgram: 'fd' },
  file: {
    debs: ['file', 'libmagic1', 'libmagic-mgc'],
    wrappers: { 'bin/file': { MAGIC: '${MAGIC-@out@/lib/file/magic.mgc}' } },
  },
  figlet: {
    links: { 'bin/figlet': 'figlet-figlet' },
    wrappers: { 'bin/figlet-figlet': { FIGLET_FONTDIR: '${FIGLET_FONTDIR-@out@/share/figlet}' } },
  },
  gawk: { links: { 'bin/awk': 'gawk' } },
  git: {
    license: 'GPL-2.0-only',
    debs: ['git', 'git-man'],
    outputs: ['out', 'man', 'doc'],
    without: ['lib/git-core/git-p4'],
    // Debian ships these programs twice.
    links: {
      'lib/git-core/git': '../../bin/.git-wrapped',
      'lib/git-core/git-shell': '../../bin/git-shell',
      'lib/git-core/scalar': '../../bin/scalar',
    },
    // git starts some helpers through a shell (such as to clone a folder), and an image may lack /bin/sh. git looks up
    // a name without a folder in PATH.
    overwrites: [{ text: '/bin/sh', by: 'sh' }],
    wrappers: {
      'bin/git': {
        GIT_EXEC_PATH: '@out@/lib/git-core',
        GIT_TEMPLATE_DIR: '@out@/share/git-core/templates',
        GITPERLLIB: `@out@/${sitePerl}:@liberror-perl@/${sitePerl}`,
        PATH: '${PATH:+$PATH:}@bash@/bin:@coreutils@/bin:@grep@/bin:@sed@/bin',
      },
    },
  },
  'gnu-which': { pname: 'which', links: { 'bin/which': 'which.gnu' }, mainProgram: 'which' },
  grep: { pname: 'gnugrep', mainProgram: 'grep' },
  iproute2: { mainProgram: 'ip' },
  'iputils-ping': { pname: 'iputils', mainProgram: 'ping' },
  krb5: { debs: ['libgssapi-krb5-2', 'libkrb5-3', 'libk5crypto3', 'libkrb5support0'] },
  hello: { license: 'GPL-3.0-or-later' },
  jq: { license: 'MIT' },
  // C.UTF-8 is part of it, as in nixpkgs.
  libc6: {
    debs: ['libc6', 'libc-bin'],
    pname: 'glibc',
    outputs: ['out', 'bin'],
    license: 'LGPL-2.1-or-later',
    without: ['etc', 'bin/ldconfig', 'bin/tzselect', 'bin/catchsegv', 'share/libc-bin'],
    finish: 'sed -i "s|^RTLDLIST=.*|RTLDLIST=$(echo @out@/lib/ld-linux-*)|" bin/ldd',
    overwrites: loaderTexts,
    repoints: [
      { library: 'libc.so.6', text: '/usr/lib/locale', by: '@out@/lib/locale' },
      ...Object.values(architectures).map(({ dynamicLinker, triplet }) => ({
        library: dynamicLinker,
        text: `/lib/${triplet}/`,
        by: '@out@/lib/',
      })),
    ],
  },
  libexpat1: { pname: 'expat' },
  libffi8: { pname: 'libffi' },
  // The modules are next to the library that loads them.
  libpam0g: {
    debs: ['libpam0g', 'libpam-modules'],
    pname: 'linux-pam',
    without: ['etc', 'share/pam', 'share/lintian'],
    repoints: triplets.map((triplet) => ({
      library: 'libpam.so.0',
      text: `/lib/${triplet}/security/`,
      by: '@out@/lib/security/',
    })),
  },
  libreadline8: { pname: 'readline' },
  // Programs only search Debian's folders for terminfo, which an image may lack. The list of folders is
  // compiled into the library; the store path of ncurses-base has a name short enough to replace it.
  libtinfo6: {
    pname: 'ncurses',
    overwrites: [{ text: terminfo, by: '@ncurses-base@' }],
  },
  // The libraries of GCC that other programs need are in one package, as in `stdenv.cc.cc.lib` of nixpkgs.
  'libstdc++6': { links: { 'lib/libgcc_s.so.1': '@libgcc-s1@/lib/libgcc_s.so.1' } },
  libx11: { debs: ['libx11-6', 'libx11-data'], pname: 'libX11' },
  'lua5.4': { pname: 'lua', links: { 'bin/lua': 'lua5.4', 'bin/luac': 'luac5.4' }, mainProgram: 'lua' },
  make: { pname: 'gnumake', mainProgram: 'make' },
  'ncurses-bin': { pname: 'ncurses', links: { 'share/terminfo': '@ncurses-base@' }, mainProgram: 'tput' },
  'ncurses-base': { pname: 'terminfo', storeName: 'ti', onlyFolder: 'lib/terminfo', ignoresDepends: true },
  'netcat-openbsd': { links: { 'bin/nc': 'nc.openbsd' }, mainProgram: 'nc' },
  netbase: { pname: 'iana-etc', ignoresDepends: true },
  openssl: { without: ['bin/c_rehash'] },
  // The programs in its Depends are for obsolete tools. It looks for the programs that it starts where it was
  // built, or where these variables point.
  'nix-bin': {
    pname: 'nix',
    mainProgram: 'nix',
    outputs: ['out', 'man', 'doc'],
    ignoresDepends: true,
    wrappers: {
      'bin/nix': { NIX_BIN_DIR: '@out@/bin', NIX_DATA_DIR: '@out@/share', NIX_LIBEXEC_DIR: '@out@/libexec' },
    },
  },
  // Made from npm's package.
  nodejs: {
    debs: [],
    mainProgram: 'node',
    without: ['include', 'share/man', 'README', 'CHANGELOG', 'package.json'],
  },
  'openssh-client': { pname: 'openssh', mainProgram: 'ssh' },
  passwd: { debs: ['passwd', 'login'], pname: 'shadow', without: ['etc'] },
  patch: { pname: 'gnupatch', mainProgram: 'patch' },
  perl: {
    debs: ['perl', 'perl-base', 'perl-modules-5.36', 'libperl5.36'],
    outputs: ['out', 'man'],
    priority: 6,
    without: ['bin/perl5.36', 'bin/cpan5.36'],
    wrappers: {
      'bin/perl': {
        PERL5LIB: '${PERL5LIB:+$PERL5LIB:}@out@/lib/perl/5.36:@out@/share/perl/5.36:@out@/lib/perl-base',
      },
    },
  },
  procps: { mainProgram: 'ps', priority: 11 },
  python3: {
    debs: [
      'python3',
      'python3-minimal',
      'python3.11',
      'python3.11-minimal',
      'libpython3-stdlib',
      'libpython3.11-minimal',
      'libpython3.11-stdlib',
      'media-types',
    ],
    without: ['etc/python3.11', 'lib/python3.11/sitecustomize.py', 'bin/py3', 'share/python3'],
    links: { 'bin/python': 'python3' },
    files: { 'lib/python3.11/sitecustomize.py': 'sitecustomize.py' },
  },
  'redis-tools': { pname: 'redis', mainProgram: 'redis-cli' },
  ripgrep: { mainProgram: 'rg' },
  sed: { pname: 'gnused', mainProgram: 'sed' },
  // Its configuration names the folder of its plugins; it reads PAM's rules from the image.
  sudo: {
    without: ['etc/pam.d', 'include', 'share/apport'],
    finish: "echo 'Path plugin_dir @out@/libexec/sudo/' >> etc/sudo.conf",
  },
  sqlite3: { pname: 'sqlite', mainProgram: 'sqlite3' },
  tar: { pname: 'gnutar', mainProgram: 'tar' },
  tzdata: { ignoresDepends: true },
  vim: {
    debs: ['vim-tiny', 'vim-common'],
    links: { 'bin/vim': 'vim.tiny', 'bin/vi': 'vim.tiny' },
    without: ['share/icons', 'share/applications'],
  },
  'x11-apps': { mainProgram: 'xeyes' },
  'x11-utils': { mainProgram: 'xev' },
  'xz-utils': { pname: 'xz', mainProgram: 'xz' },
  zlib1g: { pname: 'zlib' },
}

/** The Debian packages of a unit. */
export const debsOf = (unit: string): string[] => units[unit]?.debs ?? [unit]

/** The units that a definition's texts mention, and the shell if it has wrappers. */
export function namedUnits({ wrappers = {}, overwrites = [], links = {} }: UnitDefinition): string[] {
  const values = Object.values(wrappers).flatMap((variables) => Object.values(variables))
  const texts = [...values, ...overwrites.map(({ by }) => by), ...Object.values(links)]
  const named = placeholders(texts.join('\n'))
  return (values.length > 0 ? ['bash', ...named] : named).filter((unit) => unit !== 'out')
}

/** The names between at signs, which are replaced by store paths. */
export const placeholders = (text: string): string[] =>
  [...text.matchAll(/@([0-9a-z.+-]+)@/g)].map(([, name = '']) => name)

/**
 * Debian packages that do not count as dependencies: tools for installing and configuring (debconf … ucf), the
 * skeleton of a system, services, documents and data that programs do not need.
 */
export const ignored: ReadonlySet<string> = new Set(
  `debconf debconf-2.0 dpkg adduser install-info init-system-helpers lsb-base sysvinit-utils ucf sensible-utils
  passwd login nodejs base-files usrmerge usr-is-merged debianutils libpam-modules libpam-modules-bin libpam-runtime
  man-db groff-base bsdextrautils readline-common gcc-12-base libaudit-common libtirpc-common fontconfig-config
  x11-common default-dbus-session-bus dbus-session-bus python3-pkg-resources vim-runtime libgl1
  libdbd-sqlite3-perl libwww-curl-perl`.split(/\s+/),
)
