/**
 * What every image has besides what packages bring, as `debian:stable-slim` has it. A package's own file comes before
 * one of these; the folders are there whatever a package has in their place.
 */
import type { Owner } from '../contents/entry.ts'
import { group, gshadow, passwd, shadow } from './accounts.ts'

/** Modes and owners are Debian's. What the runtime mounts or makes, as `/proc` and `/dev`, is left to it. */
export const folders: readonly (readonly [path: string, mode: number, owner?: Owner])[] = [
  ['/etc', 0o755],
  ['/home', 0o755],
  ['/media', 0o755],
  ['/mnt', 0o755],
  ['/opt', 0o755],
  ['/root', 0o700],
  ['/run', 0o755],
  ['/run/lock', 0o1777],
  ['/srv', 0o755],
  ['/tmp', 0o1777],
  ['/usr', 0o755],
  ['/usr/bin', 0o755],
  ['/usr/local', 0o755],
  ['/usr/local/bin', 0o755],
  ['/usr/local/etc', 0o755],
  ['/usr/local/include', 0o755],
  ['/usr/local/lib', 0o755],
  ['/usr/local/sbin', 0o755],
  ['/usr/local/share', 0o755],
  ['/usr/local/src', 0o755],
  ['/var', 0o755],
  ['/var/cache', 0o755],
  ['/var/empty', 0o555], // sshd and build users of Nix expect it
  ['/var/lib', 0o755],
  ['/var/log', 0o755],
  ['/var/mail', 0o2775, { uid: 0, gid: 8 }],
  ['/var/opt', 0o755],
  ['/var/spool', 0o755],
  ['/var/tmp', 0o1777],
]

/**
 * Links from one place to another. Programs lie in `/usr/bin`, which is a real directory as in Debian: so a layer that
 * has a file for it may be laid over this one, and a Debian image may lie below.
 */
export const aliases: readonly (readonly [path: string, at: string, target?: string])[] = [
  ['/bin', '/usr/bin', 'usr/bin'],
  ['/sbin', '/usr/bin', 'usr/bin'],
  ['/usr/sbin', '/usr/bin', 'bin'],
  ['/var/run', '/run'],
  ['/var/lock', '/run/lock'],
  ['/var/spool/mail', '/var/mail', '../mail'],
]

export const osRelease = '/etc/os-release'

export type SystemFile = {
  readonly path: string
  readonly text: string
  /** 0o644 if not given. */
  readonly mode?: number
  readonly owner?: Owner
  /** It is there only with a program of this name. */
  readonly with?: string
}

const ofShadow = { mode: 0o640, owner: { uid: 0, gid: 42 } } as const

export const files: readonly SystemFile[] = [
  { path: '/etc/passwd', text: passwd },
  { path: '/etc/group', text: group },
  { path: '/etc/shadow', text: shadow, ...ofShadow },
  { path: '/etc/gshadow', text: gshadow, ...ofShadow },
  {
    path: '/etc/nsswitch.conf',
    text: [
      'passwd: files',
      'group: files',
      'shadow: files',
      'gshadow: files',
      'hosts: files dns',
      'networks: files',
      'protocols: files',
      'services: files',
      'ethers: files',
      'rpc: files',
      '',
    ].join('\n'),
  },
  // os-release(5). Never another distribution's: programs would take its packages for what can be installed here.
  { path: osRelease, text: 'ID=nixery\nNAME="Nixery"\nPRETTY_NAME="Nixery"\n' },
  // login.defs(5): what `useradd`, `su` and others of the package `shadow` do without being told. Debian's values.
  {
    path: '/etc/login.defs',
    text: [
      'MAIL_DIR /var/mail',
      'ENV_SUPATH PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'ENV_PATH PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games',
      'UMASK 022',
      'PASS_MAX_DAYS 99999',
      'PASS_MIN_DAYS 0',
      'PASS_WARN_AGE 7',
      'UID_MIN 1000',
      'UID_MAX 60000',
      'SYS_UID_MIN 100',
      'SYS_UID_MAX 999',
      'GID_MIN 1000',
      'GID_MAX 60000',
      'SYS_GID_MIN 100',
      'SYS_GID_MAX 999',
      'LOGIN_RETRIES 5',
      'LOGIN_TIMEOUT 60',
      'DEFAULT_HOME yes',
      'USERGROUPS_ENAB yes',
      'ENCRYPT_METHOD YESCRYPT',
      '',
    ].join('\n'),
  },
  // pam.conf(5). Root may become anyone; everyone else needs a password, and none is right from the start.
  {
    path: '/etc/pam.d/other',
    text: [
      'auth sufficient pam_rootok.so',
      'auth required pam_unix.so',
      'account sufficient pam_rootok.so',
      'account required pam_unix.so',
      'password required pam_unix.so',
      'session required pam_unix.so',
      '',
    ].join('\n'),
  },
  // sudoers(5). Without a file sudo does nothing, not even for root.
  {
    path: '/etc/sudoers',
    text: 'root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n',
    mode: 0o440,
    with: 'sudo',
  },
]

/** Shells that `/etc/shells` names, where they are in the image (shells(5)). */
export const shells: readonly string[] = [
  'sh', 'bash', 'rbash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'fish', 'tcsh', 'csh', 'nu', 'elvish', 'xonsh',
] // prettier-ignore

/** Names of the bundle of certificates of authorities: nixpkgs', Debian's, and Fedora's. */
export const certificateBundles: readonly string[] = [
  '/etc/ssl/certs/ca-bundle.crt',
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
]
