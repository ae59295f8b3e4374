/** Attribute names of the package set → units (`unit^output` for one output), or nested sets. */
export type Attributes = { [name: string]: string | Attributes }

/** The package set, by nixpkgs' names. */
export const attributes: Attributes = {
  // A shell, and the programs that scripts expect.
  bash: 'bash',
  bashInteractive: 'bash',
  bc: 'bc',
  busybox: 'busybox-static',
  coreutils: 'coreutils',
  cpio: 'cpio',
  dash: 'dash',
  diffutils: 'diffutils',
  ed: 'ed',
  file: 'file',
  findutils: 'findutils',
  gawk: 'gawk',
  gnugrep: 'grep',
  gnumake: 'make',
  gnupatch: 'patch',
  gnused: 'sed',
  gnutar: 'tar',
  less: 'less',
  moreutils: 'moreutils',
  time: 'time',
  tree: 'tree',
  'util-linux': 'util-linux',
  which: 'gnu-which',

  // Compression.
  _7zip: '7zip',
  _7zz: '7zip',
  brotli: 'brotli',
  bzip2: 'bzip2',
  gzip: 'gzip',
  libdeflate: 'libdeflate0',
  lz4: 'lz4',
  pigz: 'pigz',
  unzip: 'unzip',
  xz: 'xz-utils',
  zip: 'zip',
  zstd: 'zstd',

  // Network.
  cacert: 'ca-certificates',
  curl: 'curl',
  'iana-etc': 'netbase',
  iproute2: 'iproute2',
  iputils: 'iputils-ping',
  'netcat-openbsd': 'netcat-openbsd',
  openssh: 'openssh-client',
  openssl: 'openssl',
  rsync: 'rsync',
  socat: 'socat',
  wget: 'wget',
  whois: 'whois',
  libressl: { nc: 'netcat-openbsd' },

  // Languages and their packages.
  lua: 'lua5.4',
  lua5_4: 'lua5.4',
  nodejs: 'nodejs',
  nodejs_24: 'nodejs',
  perl: 'perl',
  python3: 'python3',
  python311: 'python3',
  luaPackages: { lua: 'lua5.4' },
  perlPackages: {
    Error: 'liberror-perl',
    // Pure, and needs TimeDate.
    HTTPDate: 'libhttp-date-perl',
    IPCRun: 'libipc-run-perl',
    TimeDate: 'libtimedate-perl',
    TimeDuration: 'libtime-duration-perl',
  },
  nodePackages: { semver: 'node-semver' },
  python3Packages: {
    certifi: 'python3-certifi',
    chardet: 'python3-chardet',
    idna: 'python3-idna',
    pyyaml: 'python3-yaml',
    requests: 'python3-requests',
    six: 'python3-six',
    urllib3: 'python3-urllib3',
  },

  // Tools.
  bat: 'bat',
  cowsay: 'cowsay',
  'dumb-init': 'dumb-init',
  entr: 'entr',
  fd: 'fd-find',
  figlet: 'figlet',
  fzf: 'fzf',
  git: 'git',
  gitMinimal: 'git',
  hello: 'hello',
  hexyl: 'hexyl',
  htop: 'htop',
  hyperfine: 'hyperfine',
  jq: 'jq',
  lsof: 'lsof',
  m4: 'm4',
  nano: 'nano',
  ncdu: 'ncdu',
  nix: 'nix-bin',
  procps: 'procps',
  psmisc: 'psmisc',
  pv: 'pv',
  redis: 'redis-tools',
  shadow: 'passwd',
  sudo: 'sudo',
  ripgrep: 'ripgrep',
  sqlite: 'sqlite3',
  strace: 'strace',
  tini: 'tini',
  tmux: 'tmux',
  vim: 'vim',

  // Libraries and data.
  expat: 'libexpat1',
  getent: 'libc6^bin',
  libgcc: 'libgcc-s1',
  'linux-pam': 'libpam0g',
  stdenv: { cc: { cc: { lib: 'libstdc++6' } } },
  glibc: 'libc6',
  libffi: 'libffi8',
  ncurses: 'ncurses-bin',
  readline: 'libreadline8',
  tzdata: 'tzdata',
  zlib: 'zlib1g',
  xorg: { libX11: 'libx11', xev: 'x11-utils', xeyes: 'x11-apps' },
}

const unitOf = (value: string): string => value.split('^', 1)[0] ?? value

/** The units of all attributes, sorted. */
export const attributeUnits = (set: Attributes = attributes): string[] =>
  [
    ...new Set(
      Object.values(set).flatMap((value) =>
        typeof value === 'string' ? unitOf(value) : attributeUnits(value),
      ),
    ),
  ].sort()

/** The set without the attributes whose unit does not exist, and without nested sets that become empty. */
export function existingAttributes(set: Attributes, exists: (unit: string) => boolean): Attributes {
  const entries = Object.entries(set).flatMap(([name, value]): [string, string | Attributes][] => {
    if (typeof value === 'string') return exists(unitOf(value)) ? [[name, value]] : []
    const nested = existingAttributes(value, exists)
    return Object.keys(nested).length > 0 ? [[name, nested]] : []
  })
  return Object.fromEntries(entries)
}
