import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSuite } from '../suite.ts'

/**
 * The podman-compose of Debian's sid, unpacked into the cache folder, as a command for the shell. That of the stable release
 * has no profiles.
 */
export async function newestCompose(): Promise<string> {
  const found = await fromSuite({
    suite: 'sid',
    name: 'compose',
    packages: ['podman-compose'],
    programs: [],
    works: (folder) =>
      access(join(folder, 'usr/bin/podman-compose')).then(
        () => true,
        () => false,
      ),
  })
  if ('missing' in found) throw new Error(found.missing)
  // Its modules need no particular version of Python.
  const modules = join(found.folder, 'usr/lib/python3/dist-packages')
  return `PYTHONPATH='${modules}' python3 '${join(found.folder, 'usr/bin/podman-compose')}'`
}
