import { readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import type { Config } from '../../config.ts'
import type { Finding } from './finding.ts'

/** The contents of the clients' files; undefined if they do not exist. */
export type ClientFiles = {
  readonly docker: string | undefined
  /** The files that podman, buildah and skopeo read, with their names. */
  readonly containers: readonly (readonly [file: string, text: string])[]
}

/**
 * Checks whether docker and podman on this machine can pull from this server as configured: without TLS, they need a
 * setting.
 */
export function checkClients(
  config: Pick<Config, 'PORT' | 'NIXERY_TLS_CERT' | 'NIXERY_ROLE'>,
  files: ClientFiles = readClientFiles(),
): Finding[] {
  if (config.NIXERY_ROLE === 'worker') return [] // serves no images
  if (config.NIXERY_TLS_CERT !== undefined) {
    return [
      {
        about: 'clients',
        state: 'ok',
        message: 'the server uses TLS: clients need no settings if they trust its certificate',
      },
    ]
  }
  const address = `127.0.0.1:${config.PORT}`
  return [ofDocker(files.docker, address), ...ofContainers(files.containers, address)]
}

/** Docker itself makes an exception for loopback addresses. */
function ofDocker(text: string | undefined, address: string): Finding {
  try {
    if (text !== undefined) JSON.parse(text)
  } catch (error) {
    return {
      about: 'clients',
      state: 'warning',
      message: `/etc/docker/daemon.json is not valid JSON, so dockerd does not start: ${String(error)}`,
      fix: 'correct the file, then: systemctl restart docker',
    }
  }
  return {
    about: 'clients',
    state: 'ok',
    message: `docker pulls from ${address} as it is; on other machines, it needs TLS or an entry in insecure-registries`,
  }
}

function ofContainers(files: ClientFiles['containers'], address: string): Finding[] {
  const insecure = new Set<string>()
  const broken: Finding[] = []
  for (const [file, text] of files) {
    try {
      for (const name of insecureIn(parse(text))) insecure.add(name)
    } catch (error) {
      broken.push({
        about: 'clients',
        state: 'warning',
        message: `${file} is not valid TOML, so podman does not pull: ${String(error).split('\n')[0] ?? ''}`,
        fix: `correct ${file}`,
      })
    }
  }
  if (insecure.has(address) || insecure.has('127.0.0.1')) {
    return [
      ...broken,
      {
        about: 'clients',
        state: 'ok',
        message: `podman, buildah and skopeo pull from ${address} without TLS`,
      },
    ]
  }
  return [
    ...broken,
    {
      about: 'clients',
      state: 'warning',
      message: `podman, buildah and skopeo expect TLS from ${address}`,
      fix:
        'use --tls-verify=false, or run: mkdir -p ~/.config/containers/registries.conf.d && ' +
        `printf '[[registry]]\\nlocation = "${address}"\\ninsecure = true\\n' >~/.config/containers/registries.conf.d/nixery.conf`,
    },
  ]
}

/** containers-registries.conf(5), version 2. */
function insecureIn(file: Record<string, unknown>): string[] {
  const registries = Array.isArray(file['registry']) ? (file['registry'] as unknown[]) : []
  return registries.flatMap((entry) => {
    const { location, prefix, insecure } = entry as Record<string, unknown>
    return insecure === true ? [location, prefix].filter((name) => typeof name === 'string') : []
  })
}

function readClientFiles(): ClientFiles {
  const folders = ['/etc/containers', join(homedir(), '.config', 'containers')]
  const names = folders.flatMap((folder) => [
    join(folder, 'registries.conf'),
    ...entriesOf(join(folder, 'registries.conf.d')),
  ])
  return {
    docker: textOf('/etc/docker/daemon.json'),
    containers: names.flatMap((name) => {
      const text = textOf(name)
      return text === undefined ? [] : [[name, text] as const]
    }),
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.conf'))
      .map((name) => join(folder, name))
  } catch {
    return [] // most machines do not have it
  }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined // missing, or not readable by this user
  }
}
