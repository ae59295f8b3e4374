import { execa } from 'execa'
import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import type { Credentials } from './credentials.ts'
import { foreignText } from './errors.ts'

const answer = z.object({ Username: z.string(), Secret: z.string() })

// A helper may ask its user something.
const patience = 60_000

/**
 * Asks `docker-credential-<name>` for what it keeps (docker/docker-credential-helpers: the server on standard
 * input, JSON on standard output).
 * @returns undefined when it has nothing for this server
 * @throws CONFIG_INVALID when there is no such program, or it fails
 */
export async function askHelper(name: string, server: string): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new NixeryError('CONFIG_INVALID', 'a credential helper has a name that no program can have')
  }
  const program = `docker-credential-${name}`
  const result = await execa(program, ['get'], {
    input: server,
    reject: false,
    timeout: patience,
    maxBuffer: 1024 * 1024,
  })
  if (result.failed) {
    // It tells this on standard output, where else a secret would be.
    if (/credentials not found/i.test(result.stdout)) return undefined
    const reason = result.code === 'ENOENT' ? 'there is no such program' : foreignText(result.stderr)
    throw new NixeryError('CONFIG_INVALID', `${program} failed: ${reason || 'it gave no reason'}`, {
      hint: 'it is named in a file of credentials, by credHelpers or credsStore',
    })
  }
  const parsed = answer.safeParse(jsonOf(result.stdout))
  if (!parsed.success) throw new NixeryError('CONFIG_INVALID', `${program} gave no credentials`)
  const { Username: username, Secret: secret } = parsed.data
  return username === '<token>'
    ? { kind: 'identity', token: secret }
    : { kind: 'password', username, password: secret }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // refused by the schema
  }
}
