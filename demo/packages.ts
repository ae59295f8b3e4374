/** How a store path is made of Debian packages, where it is not simply one of them. */
export type UnitDefinition = {
  /** The Debian packages, the one that gives version and description first. Default: the one of the unit's name. */
  debs?: string[]
  /** nixpkgs' name for it. Default: the unit's name. */
  pname?: string
  mainProgram?: string
  /** The first is the default one. `man` and `doc` take share/man and share/doc. Default: all in `out`. */
  outputs?: ('out' | 'man' | 'doc')[]
  /** Debian's Depends are no references here, because nixpkgs' counterpart has none. */
  ignoresDepends?: boolean
  /** Beginnings of paths (in the store path's layout) that are left out. */
  without?: string[]
  /** Symbolic links to add: path → target as written. */
  links?: Record<string, string>
  /** Programs to start through a wrapper that sets these variables. `@unit@` and `@out@` stand for store paths. */
  wrappers?: Record<string, Record<string, string>>
  /** Texts inside its binaries (whole, as C strings) that are overwritten by others which are not longer. */
  overwrites?: { text: string; by: string }[]
  /** Files to add: path → name of a file in nix/. */
  files?: Record<string, string>
  /** Shell text for what no other field can say; runs in `$out` at the end. */
  finish?: string
  /** The name of the store path. Default: `<pname>-<version>`. */
  storeName?: string
  /** A folder that becomes the whole of the store path. */
  onlyFolder?: string
}

const terminfo = '/etc/terminfo:/lib/terminfo:/usr/share/terminfo'

/** Units that need more than their .deb. Names are Debian's, or the key of a group of .debs. */
export const units: Record<string, UnitDefinition> = {
  '7zip': { pname: '7zz', links: { 'bin/7z': '7zz' }, mainProgram: '7zz' },
  bash: { links: { 'bin/sh': 'bash' }, outputs: ['out', 'man', 'doc'] },
  bat: { links: { 'bin/bat': 'batcat' }, mainProgram: 'bat' },
  'busybox-static': {
    pname: 'busybox',
    ignoresDepends: true,
    // The seed's busybox is of the same version, so it knows the same applets, and it runs here.
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
  curl: { outputs: ['out', 'man', 'doc'] },
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
    debs: ['git', 'git-man'],
    outputs: ['out', 'man', 'doc'],
    without: ['lib/git-core/git-p4'],
    // Debian ships these programs twice.
    links: {
      'lib/git-core/git': '../../bin/.git-wrapped',
      'lib/git-core/git-shell': '../../bin/git-shell',
      'lib/git-core/scalar': '../../bin/scalar',
    },
    // git starts helpers through a shell (a clone from a folder does), and an image need not have /bin/sh. A name
    // without a folder it looks up in PATH.
    overwrites: [{ text: '/bin/sh', by: 'sh' }],
    wrappers: {
      'bin/git': {
        GIT_EXEC_PATH: '@out@/lib/git-core',
        GIT_TEMPLATE_DIR: '@out@/share/git-core/templates',
        GITPERLLIB: '@out@/share/perl5:@liberror-perl@/share/perl5',
        PATH: '${PATH:+$PATH:}@bash@/bin:@coreutils@/bin:@grep@/bin:@sed@/bin',
      },
    },
  },
  grep: { pname: 'gnugrep', mainProgram: 'grep' },
  iproute2: { mainProgram: 'ip' },
  'iputils-ping': { pname: 'iputils', mainProgram: 'ping' },
  krb5: { debs: ['libgssapi-krb5-2', 'libkrb5-3', 'libk5crypto3', 'libkrb5support0'] },
  'libc-bin': { pname: 'getent', mainProgram: 'getent', without: ['etc', 'bin/ldconfig'] },
  libc6: { pname: 'glibc' },
  libexpat1: { pname: 'expat' },
  libffi8: { pname: 'libffi' },
  libreadline8: { pname: 'readline' },
  // Programs find terminfo in Debian's folders only, which an image need not have. The list of folders is
  // compiled into the library; the store path of ncurses-base is named as short as to fit in its place.
  libtinfo6: {
    pname: 'ncurses',
    overwrites: [{ text: terminfo, by: '@ncurses-base@' }],
  },
  libx11: { debs: ['libx11-6', 'libx11-data'], pname: 'libX11' },
  'lua5.4': { pname: 'lua', links: { 'bin/lua': 'lua5.4', 'bin/luac': 'luac5.4' }, mainProgram: 'lua' },
  make: { pname: 'gnumake', mainProgram: 'make' },
  'ncurses-base': { pname: 'terminfo', storeName: 'ti', onlyFolder: 'lib/terminfo', ignoresDepends: true },
  'netcat-openbsd': { links: { 'bin/nc': 'nc.openbsd' }, mainProgram: 'nc' },
  netbase: { pname: 'iana-etc', ignoresDepends: true },
  openssl: { without: ['bin/c_rehash'] },
  // The programs that its Depends name are for tools of its past. What it starts itself it looks for where it was
  // built, or where these variables say.
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
  patch: { pname: 'gnupatch', mainProgram: 'patch' },
  perl: {
    debs: ['perl', 'perl-base', 'perl-modules-5.36', 'libperl5.36'],
    outputs: ['out', 'man'],
    without: ['bin/perl5.36', 'bin/cpan5.36'],
    wrappers: {
      'bin/perl': {
        PERL5LIB: '${PERL5LIB:+$PERL5LIB:}@out@/lib/perl/5.36:@out@/share/perl/5.36:@out@/lib/perl-base',
      },
    },
  },
  procps: { mainProgram: 'ps' },
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
  sqlite3: { pname: 'sqlite', mainProgram: 'sqlite3' },
  tar: { pname: 'gnutar', mainProgram: 'tar' },
  // It insists on a UTF-8 locale; C.UTF-8, which Debian has in libc-bin, is enough.
  tmux: { wrappers: { 'bin/tmux': { LOCPATH: '${LOCPATH-@libc-bin@/lib/locale}' } } },
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

/** The units that a definition's texts name, and the shell if it has wrappers. */
export function namedUnits({ wrappers = {}, overwrites = [] }: UnitDefinition): string[] {
  const values = Object.values(wrappers).flatMap((variables) => Object.values(variables))
  const named = placeholders([...values, ...overwrites.map(({ by }) => by)].join('\n'))
  return (values.length > 0 ? ['bash', ...named] : named).filter((unit) => unit !== 'out')
}

/** The names between at signs, which stand for store paths. */
export const placeholders = (text: string): string[] =>
  [...text.matchAll(/@([0-9a-z.+-]+)@/g)].map(([, name = '']) => name)

/**
 * Debian packages that are no dependencies here: tools for installing and configuring (debconf … ucf), the
 * skeleton of a system, services, documents and data that programs do without.
 */
export const ignored: ReadonlySet<string> = new Set(
  `debconf debconf-2.0 dpkg adduser install-info init-system-helpers lsb-base sysvinit-utils ucf sensible-utils
  passwd login base-files usrmerge usr-is-merged debianutils libpam-modules libpam-modules-bin libpam-runtime
  man-db groff-base bsdextrautils readline-common gcc-12-base libaudit-common libtirpc-common fontconfig-config
  x11-common default-dbus-session-bus dbus-session-bus python3-pkg-resources vim-runtime libgl1
  libsemanage2 libdbd-sqlite3-perl libwww-curl-perl`.split(/\s+/),
)
