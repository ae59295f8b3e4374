// Codes of PostgreSQL are in its documentation, Appendix A.

/**
 * A conflict with another transaction, after which this one was rolled back: `serialization_failure`,
 * `deadlock_detected`.
 */
const conflicts: ReadonlySet<string> = new Set(['40001', '40P01'])

/** The server ends connections: it stops, starts, or an administrator ended this one. */
const endings: ReadonlySet<string> = new Set(['57P01', '57P02', '57P03', '57P05'])

/**
 * Other temporary failures: too many connections, an unavailable lock, a cancelled statement, a server that has become
 * a standby (`read_only_sql_transaction`) or is out of memory or disk space.
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
  // Node tries all addresses of a host, and reports all their errors.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : ''
}
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : '')

/** Whether a transaction failed because of another one, and can be retried at once. */
export const isConflict = (error: unknown): boolean => conflicts.has(codeOf(error))

/**
 * Whether a connection was lost or cannot be established. Statements sent over a lost connection may have been
 * executed. A lost connection cannot be reused.
 */
export const isDisconnected = (error: unknown): boolean => {
  const code = codeOf(error)
  const message = messageOf(error)
  if (endings.has(code) || network.has(code) || code.startsWith('08')) return true
  return lost.test(message) || noConnection.test(message)
}

/**
 * Whether the failure concerns only this statement with these values: data that PostgreSQL cannot store, a row that
 * violates a constraint or is too long for an index (classes 22, 23 and 54).
 */
export const isOfStatement = (error: unknown): boolean => /^(?:22|23|54)/.test(codeOf(error))

/** Whether a failure may be temporary, without a change of the program, its settings or the tables. */
export const isPassing = (error: unknown): boolean =>
  isConflict(error) || isDisconnected(error) || passing.has(codeOf(error))
