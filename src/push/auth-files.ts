import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { isHub } from '../image/repository.ts'
import { askHelper } from './credential-helper.ts'
import type { Credentials } from './credentials.ts'

type Environment = Readonly<Record<string, string | undefined>>

const entry = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
  registrytoken: z.string().optional(),
})
const authFile = z.object({
  auths: z.record(z.string(), entry).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().optional(),
})

/**
 * Finds the credentials that `podman login` or `docker login` stored for a repository, in the first of their files that
 * has an entry for it (containers-auth.json(5)). Within a file, the longest prefix of `host/repository` wins, and
 * credential helpers take precedence over credentials in the file.
 * @returns undefined if there is no login
 * @throws CONFIG_INVALID for a file that cannot be read or parsed, or a credential helper that fails
 */
export async function findCredentials(
  host: string,
  repository: string,
  environment: Environment,
): Promise<Credentials | undefined> {
  for (const path of authFiles(environment)) {
    const text = await readIfThere(path)
    if (text === undefined) continue
    const found = await findIn(parseFile(path, text), host, repository)
    if (found) return found
  }
  return undefined
}

/** The files to search, in order. If the environment names a file, no other is read. */
function authFiles(environment: Environment): string[] {
  const named = environment['REGISTRY_AUTH_FILE']
  if (named) return [named]
  const home = environment['HOME'] || homedir()
  const runtime = environment['XDG_RUNTIME_DIR'] || `/run/containers/${process.getuid?.() ?? 0}`
  return [
    join(runtime, environment['XDG_RUNTIME_DIR'] ? 'containers' : '', 'auth.json'),
    join(environment['XDG_CONFIG_HOME'] || join(home, '.config'), 'containers/auth.json'),
    join(environment['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json'),
  ]
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new NixeryError('CONFIG_INVALID', `${path} cannot be read: ${code ?? 'unknown'}`, { cause })
  }
}

function parseFile(path: string, text: string): z.infer<typeof authFile> {
  try {
    return authFile.parse(JSON.parse(text === '' ? '{}' : text))
  } catch {
    // Without the cause: what a parser quotes may be a secret.
    throw new NixeryError('CONFIG_INVALID', `${path} is not a valid credentials file`, {
      hint: 'repair or remove it, then log in again with podman login or docker login',
    })
  }
}

async function findIn(
  { auths, credHelpers, credsStore }: z.infer<typeof authFile>,
  host: string,
  repository: string,
): Promise<Credentials | undefined> {
  const keys = keysOf(host, repository)
  const helped = keys.find((key) => credHelpers?.[key] !== undefined)
  if (helped !== undefined) return askHelper(credHelpers?.[helped] ?? '', helped)
  if (credsStore) {
    const stored = await askHelper(credsStore, isHub(host) ? hubKey : host)
    if (stored) return stored
  }
  const byKey = new Map(Object.entries(auths ?? {}).map(([key, value]) => [normalised(key), value]))
  for (const key of keys) {
    const found = credentialsOf(byKey.get(key))
    if (found) return found
  }
  return undefined
}

/** `host/a/b`, `host/a`, `host` */
function keysOf(host: string, repository: string): string[] {
  const names = [isHub(host) ? 'docker.io' : host, ...repository.split('/')]
  return names.map((_, index) => names.slice(0, names.length - index).join('/'))
}

const hubKey = 'https://index.docker.io/v1/'

/** Older Docker files use URLs as keys: `https://host/v1/`. */
function normalised(key: string): string {
  const name = /^https?:\/\/([^/]*)/.exec(key)?.[1] ?? key
  return isHub(name) ? 'docker.io' : name
}

function credentialsOf(found: z.infer<typeof entry> | undefined): Credentials | undefined {
  if (!found) return undefined
  if (found.identitytoken) return { kind: 'identity', token: found.identitytoken }
  if (found.registrytoken) return { kind: 'bearer', token: found.registrytoken }
  const decoded = Buffer.from(found.auth ?? '', 'base64').toString()
  const colon = decoded.indexOf(':')
  // Docker used to pad passwords with NUL.
  const [username, password] =
    colon === -1
      ? [found.username, found.password]
      : [decoded.slice(0, colon), decoded.slice(colon + 1).replace(/\0+$/, '')]
  return username && password ? { kind: 'password', username, password } : undefined
}
