import type { Credentials } from '../access/credentials.ts'

/** Returns what may be a key or a token: the password, with any user name, or the bearer token. */
export const secretOf = (credentials: Credentials): string =>
  credentials.kind === 'basic' ? credentials.password : credentials.kind === 'bearer' ? credentials.token : ''
