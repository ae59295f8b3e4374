import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { NixeryError } from '../errors.ts'

/** Types of file systems with files on another machine; `fuse.NAME` are programs (fuse(8)). */
const network =
  /^(?:nfs4?|cifs|smb3|smbfs|ncpfs|9p|afs|coda|davfs|ceph|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|orangefs|pvfs2|fuse\.(?:sshfs|s3fs|goofys|gcsfuse|rclone|juicefs|ceph|glusterfs|mfs|davfs2))$/

/**
 * The type of the file system that a path is on.
 * @param mounts the text of /proc/self/mountinfo (proc_pid_mountinfo(5))
 * @param path absolute, without symbolic links
 */
export function fileSystemOf(mounts: string, path: string): string | undefined {
  let longest = -1
  let found: string | undefined
  for (const line of mounts.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const point = (before.split(' ')[4] ?? '').replace(/\\(?<octal>[0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    )
    const isAbove = point === '/' || path === point || path.startsWith(`${point}/`)
    // Of several at the same point, the last one is on top.
    if (point === '' || !isAbove || point.length < longest) continue
    longest = point.length
    found = after.split(' ')[0]
  }
  return found
}

export type NetworkDiskOptions = {
  /** Whether the operator has confirmed that only one machine uses the file. */
  readonly isAllowed: boolean
  readonly warn: (line: string) => void
  /** The text of /proc/self/mountinfo. */
  readonly mounts?: () => string
}

/**
 * Makes sure that a SQLite file is not on a disk that several machines share: SQLite's write-ahead log needs memory
 * that all its users share, so two machines damage the file (sqlite.org/wal.html). An existing file is used, with a
 * warning.
 * @throws CONFIG_INVALID if the file would be created on such a disk
 */
export function checkDisk(file: string, { isAllowed, warn, mounts = readMounts }: NetworkDiskOptions): void {
  if (isAllowed) return
  const folder = existing(dirname(resolve(file)))
  const type = fileSystemOf(mounts(), folder)
  if (type === undefined || !network.test(type)) return
  const what = `the catalog is on a network disk (${folder} is ${type})`
  const hint =
    'set NIXERY_DATABASE_URL to share a catalog, NIXERY_DATA to a local folder, or NIXERY_SQLITE_NETWORK=on if only one machine ever uses it'
  if (existsSync(file)) warn(`${what}, where two servers would damage it: ${hint}`)
  else throw new NixeryError('CONFIG_INVALID', `${what}, where two servers would damage it`, { hint })
}

/** The nearest folder that exists. */
function existing(folder: string): string {
  try {
    return realpathSync(folder)
  } catch {
    return folder === '/' ? folder : existing(dirname(folder))
  }
}

function readMounts(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return '' // not Linux
  }
}
