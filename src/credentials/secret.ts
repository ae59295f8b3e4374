import type { Credentials } from '../access/credentials.ts'

/** What may be a key or a token: the password, whatever the user name, or the bearer token. */
export const secretOf = (credentials: Credentials): string =>
  credentials.kind === 'basic' ? credentials.password : credentials.kind === 'bearer' ? credentials.token : ''
