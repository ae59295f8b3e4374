/**
 * The folders and files of every image, like those of `debian:stable-slim`. Files of packages take precedence over these
 * files; these folders take precedence over anything else.
 */
import type { Owner } from '../contents/entry.ts'
import { group, gshadow, passwd, shadow } from './accounts.ts'

/** Modes and owners are Debian's. The runtime creates `/proc`, `/sys` and `/dev`. */
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
  ['/var/empty', 0o555], // sshd and Nix's build users need it
  ['/var/lib', 0o755],
  ['/var/log', 0o755],
  ['/var/mail', 0o2775, { uid: 0, gid: 8 }],
  ['/var/opt', 0o755],
  ['/var/spool', 0o755],
  ['/var/tmp', 0o1777],
]

/**
 * Links between folders. Programs are in `/usr/bin`, which is a real directory as in Debian. So layers above can add files
 * to it, and the layer can be on top of a Debian image.
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
  /** 0o644 by default. */
  readonly mode?: number
  readonly owner?: Owner
  /** The program that must exist for the file to be added. */
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
  // os-release(5). Not that of a distribution, because programs would try to install its packages.
  { path: osRelease, text: 'ID=nixery\nNAME="Nixery"\nPRETTY_NAME="Nixery"\n' },
  // login.defs(5): the defaults of `useradd`, `su` and other programs of the package `shadow`. The values are Debian's.
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
  // pam.conf(5). root can switch to any user; other users need a password, and none is valid at first.
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
  // sudoers(5). Without this file sudo refuses all commands, even for root.
  {
    path: '/etc/sudoers',
    text: 'root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n',
    mode: 0o440,
    with: 'sudo',
  },
]

/** The shells for `/etc/shells` (shells(5)), if they are in the image. */
export const shells: readonly string[] = [
  'sh', 'bash', 'rbash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'fish', 'tcsh', 'csh', 'nu', 'elvish', 'xonsh',
] // prettier-ignore

/** Paths of the CA certificate bundle in nixpkgs, Debian and Fedora. */
export const certificateBundles: readonly string[] = [
  '/etc/ssl/certs/ca-bundle.crt',
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
]
