import { execa } from 'execa'
import { z } from 'zod'
import { NixeryError } from '../errors.ts'
import type { Credentials } from './credentials.ts'
import { foreignText } from './errors.ts'

const answer = z.object({ Username: z.string(), Secret: z.string() })

// Milliseconds. A helper may prompt the user.
const patience = 60_000

/**
 * Gets credentials from `docker-credential-<name>` (docker/docker-credential-helpers: it reads the server from standard
 * input and writes JSON to standard output).
 * @returns undefined if it has no credentials for this server
 * @throws CONFIG_INVALID if the program does not exist or fails
 */
export async function askHelper(name: string, server: string): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new NixeryError('CONFIG_INVALID', 'a credential helper has an invalid name')
  }
  const program = `docker-credential-${name}`
  const result = await execa(program, ['get'], {
    input: server,
    reject: false,
    timeout: patience,
    maxBuffer: 1024 * 1024,
  })
  if (result.failed) {
    // Helpers print this message on standard output.
    if (/credentials not found/i.test(result.stdout)) return undefined
    const reason = result.code === 'ENOENT' ? 'program not found' : foreignText(result.stderr)
    throw new NixeryError('CONFIG_INVALID', `${program} failed: ${reason || 'no reason given'}`, {
      hint: 'credHelpers or credsStore in a credentials file names this helper',
    })
  }
  const parsed = answer.safeParse(jsonOf(result.stdout))
  if (!parsed.success) throw new NixeryError('CONFIG_INVALID', `${program} returned no valid credentials`)
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
