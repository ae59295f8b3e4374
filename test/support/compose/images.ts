import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { cephConfiguration, cephKeyring } from '../ceph.ts'

/** The programs that `serviceImages` needs. */
export const servicePrograms = ['initdb', 'ceph-mon', 'ceph-osd', 'radosgw', 'ceph'] as const

/** A Compose override for services with these images: their programs are those of this machine's Debian packages. */
export const serviceVolumes = "volumes: ['/usr:/usr:ro']"

/**
 * Makes images that stand in for those of the official PostgreSQL and of MinIO in a Compose file: they take the same
 * variables, commands, volumes and ports.
 * @param folder for the files of the images; must not exist
 * @returns the variables of deploy/compose.yaml that name the images
 */
export async function serviceImages(
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly POSTGRES_IMAGE: string; readonly STORE_IMAGE: string }> {
  const at = (...names: string[]) => join(folder, ...names)
  for (const name of ['usr', 'etc', 'tmp', 'data', 'ceph', 'local', 'var/lib/postgresql']) {
    await mkdir(at(name), { recursive: true })
  }
  await chmod(at('tmp'), 0o1777)
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(join('usr', name), at(name))
  await writeFile(at('etc/passwd'), 'root:x:0:0::/:/bin/sh\npostgres:x:100:100::/:/bin/sh\n')
  await writeFile(at('etc/group'), 'root:x:0:\npostgres:x:100:\n')
  const monitors = '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]'
  await writeFile(at('ceph/ceph.conf'), cephConfiguration('/ceph', monitors, '0.0.0.0:9000'))
  await writeFile(at('ceph/keyring'), cephKeyring())
  await copyFile(join(import.meta.dirname, 'minio.sh'), at('local/minio'))
  await copyFile(join(import.meta.dirname, 'docker-entrypoint.sh'), at('local/docker-entrypoint.sh'))
  const archive = `${folder}.tar`
  await execa('tar', ['--create', '--file', archive, '--directory', folder, '.'])
  const image = async (name: string, ...changes: string[]) => {
    const options = ['ENV PATH=/local:/usr/sbin:/usr/bin', ...changes].flatMap((line) => ['--change', line])
    await execa('podman', ['import', ...options, archive, name], { env, stdin: 'ignore' })
    return name
  }
  return {
    POSTGRES_IMAGE: await image(
      'localhost/postgres:test',
      'ENTRYPOINT ["docker-entrypoint.sh"]',
      'STOPSIGNAL SIGINT',
    ),
    STORE_IMAGE: await image('localhost/minio:test', 'STOPSIGNAL SIGKILL'),
  }
}
