/**
 * Packages that have another name in Debian than in nixpkgs: the Debian name, then the nixpkgs names, the most likely
 * first. Only names that do not exist in nixpkgs and that are valid in an image name (no "+" or ".").
 */
const names = new Map(
  `
  7zip: _7zz
  adduser: shadow
  apache2 apache2-utils: apacheHttpd
  awk: gawk
  batcat: bat
  bind9: bind
  bind9-dnsutils bind9-host: dnsutils
  bpfcc-tools: bcc
  bsdmainutils bsdextrautils uuid-runtime: util-linux
  build-essential: stdenv gcc gnumake
  ca-certificates: cacert
  chromium-browser: chromium
  dbus-x11: dbus
  default-jdk: jdk
  default-jre default-jre-headless: jre jdk
  default-mysql-client mariadb-client mariadb-server mysql-server: mariadb
  docker-ce: docker
  docker-ce-cli: docker-client
  fd-find fdfind: fd
  fonts-dejavu fonts-dejavu-core: dejavu_fonts
  fonts-liberation: liberation_ttf
  fonts-noto: noto-fonts
  gettext-base: gettext
  git-all git-core: git
  gnupg2 gpg: gnupg
  golang golang-go: go
  google-chrome-stable: google-chrome
  grep: gnugrep
  iputils-ping ping: iputils
  krb5-user: krb5
  ldap-utils slapd: openldap
  libbz2-dev: bzip2
  libc-bin libc6 libc6-dev: glibc
  libcurl4 libcurl4-openssl-dev: curl
  libffi-dev: libffi
  libgmp-dev: gmp
  libicu-dev: icu
  libjpeg-dev libjpeg62-turbo: libjpeg
  liblzma-dev xz-utils: xz
  libncurses-dev libncurses5-dev ncurses-bin: ncurses
  libpng-dev: libpng
  libpq-dev libpq5: libpq postgresql
  libreadline-dev: readline
  librsvg2-bin: librsvg
  libsqlite3-dev sqlite3: sqlite
  libssl-dev libssl3: openssl
  libtool-bin: libtool
  libvips-dev libvips-tools: vips
  libxml2-dev libxml2-utils: libxml2
  libxslt1-dev xsltproc: libxslt
  libyaml-dev: libyaml
  libzip-dev: libzip
  linux-perf linux-tools-common: perf
  locales locales-all: glibcLocales
  make: gnumake
  manpages manpages-dev: man-pages
  mtr-tiny: mtr
  ncat: nmap
  netcat-traditional: netcat-gnu
  nginx-core nginx-full nginx-light: nginx
  ninja-build: ninja
  npm: nodejs
  nvim: neovim
  p7zip-full: p7zip
  passwd login: shadow
  php-cli php-fpm: php
  postgresql-client postgresql-contrib: postgresql
  procps-ng: procps
  protobuf-compiler protoc: protobuf
  python-is-python3 python3-dev python3-minimal python3-venv: python3
  redis-server redis-tools: redis
  ruby-full: ruby
  rust: rustc
  sed: gnused
  silversearcher-ag: silver-searcher
  ssh openssh-client openssh-server openssh-sftp-server: openssh
  systemd-sysv udev: systemd
  tar: gnutar
  telnet ftp inetutils-ping: inetutils
  texlive-full: texliveFull
  vim-nox vim-tiny: vim
  xvfb: xvfb-run
  zlib1g zlib1g-dev: zlib
  `
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [debian = '', nix = ''] = line.split(':')
      const here = nix.trim().split(' ')
      return debian
        .trim()
        .split(' ')
        .map((name): [string, readonly string[]] => [name, here])
    }),
)

/** The likely nixpkgs names of a package with this name in Debian; usually none. */
export function namesForDebian(name: string): readonly string[] {
  const debian = name.toLowerCase()
  const known = names.get(debian)
  if (known) return known
  const java = /^openjdk-(?<version>\d+)-(jdk|jre)(-headless)?$/.exec(debian)?.groups?.['version']
  if (java !== undefined) return [`jdk${java}`, 'jdk']
  const module = /^python3-(?<module>.+)$/.exec(debian)?.groups?.['module']
  return module === undefined ? [] : [`python3Packages.${module}`]
}
