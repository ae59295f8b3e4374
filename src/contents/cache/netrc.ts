/** A user and a password for a host. */
export type Login = { readonly user: string; readonly password: string }

/**
 * The login for a host. The `default` entry is used only for hosts that the operator configured: `isNamed` is false for
 * hosts that a cache refers to.
 */
export type LoginOf = (host: string, isNamed?: boolean) => Login | undefined

/** The maximum length of a netrc file. */
export const largestNetrc = 1024 * 1024

/**
 * Reads a netrc file as curl does: words, some of them in double quotes with `\` before a quote, and comments of lines
 * that begin with `#`. Macros are not supported. The first entry of a host is used.
 * @returns the login for a host, by name; that of `default` for all others, if there is one
 */
export function parseNetrc(text: string): LoginOf {
  const words = wordsOf(text)
  const logins = new Map<string, Login>()
  let fallback: Login | undefined
  let entry: { host: string | undefined; user: string; password: string } | undefined
  const keep = () => {
    if (!entry) return
    const login = { user: entry.user, password: entry.password }
    if (entry.host === undefined) fallback ??= login
    else if (!logins.has(entry.host)) logins.set(entry.host, login)
  }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === 'machine' || word === 'default') {
      keep()
      entry = { host: word === 'machine' ? words.shift()?.toLowerCase() : undefined, user: '', password: '' }
    } else if (word === 'login' && entry) entry.user = words.shift() ?? ''
    else if (word === 'password' && entry) entry.password = words.shift() ?? ''
    else if (word === 'account') words.shift()
  }
  keep()
  return (host, isNamed = true) => logins.get(host.toLowerCase()) ?? (isNamed ? fallback : undefined)
}

function wordsOf(text: string): string[] {
  const lines = text.split('\n').filter((line) => !line.trimStart().startsWith('#'))
  const matches = lines.join('\n').matchAll(/"(?<quoted>(?:\\.|[^"\\])*)"|(?<plain>\S+)/gs)
  return Array.from(
    matches,
    ({ groups = {} }) => groups['quoted']?.replace(/\\(.)/gs, '$1') ?? groups['plain'] ?? '',
  )
}
