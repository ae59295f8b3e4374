// Codes of PostgreSQL are in its documentation, Appendix A.

/** Another transaction got in the way of this one, which was rolled back: `serialization_failure`, `deadlock_detected`. */
const conflicts: ReadonlySet<string> = new Set(['40001', '40P01'])

/** The server ends connections: it stops, starts, or was told to end this one. */
const endings: ReadonlySet<string> = new Set(['57P01', '57P02', '57P03', '57P05'])

/**
 * Other failures that may pass by themselves: too many connections, a lock that was not available, a statement that
 * was cancelled, a server that has become a standby (`read_only_sql_transaction`) or is out of memory or disk space.
 */
const passing: ReadonlySet<string> = new Set(['25006', '53000', '53100', '53200', '53300', '55P03', '57014'])

/** Of the network, from Node. */
const network: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT', // the socket of a server that is not running
])

// `pg` and `pg-pool` give these no code.
const lost =
  /^(?:connection terminated|client has encountered a connection error|client was closed|query read timeout|the database system is )/i
const noConnection = /^(?:timeout exceeded when trying to connect|timeout expired)/i

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  // Node tries all addresses of a host, and gives all their errors.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : ''
}
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : '')

/** Whether a transaction failed because of another one, and can be repeated at once. */
export const isConflict = (error: unknown): boolean => conflicts.has(codeOf(error))

/**
 * Whether a connection was lost, or cannot be made. What was sent over a connection that is lost may have been done.
 * Such a connection is of no more use.
 */
export const isDisconnected = (error: unknown): boolean => {
  const code = codeOf(error)
  const message = messageOf(error)
  if (endings.has(code) || network.has(code) || code.startsWith('08')) return true
  return lost.test(message) || noConnection.test(message)
}

/**
 * Whether only this statement, with these values, fails: data that PostgreSQL does not store, a row that breaks a
 * constraint or is too long for an index (classes 22, 23 and 54).
 */
export const isOfStatement = (error: unknown): boolean => /^(?:22|23|54)/.test(codeOf(error))

/** Whether a failure may pass by itself, without anybody changing the program, its settings or the tables. */
export const isPassing = (error: unknown): boolean =>
  isConflict(error) || isDisconnected(error) || passing.has(codeOf(error))
