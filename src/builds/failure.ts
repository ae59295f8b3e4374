import { isNixeryError, NixeryError } from '../errors.ts'
import type { BuildFailure } from './builds.ts'

/** A failure as plain data. Bugs have no details. */
export function failureOf(error: unknown): BuildFailure {
  if (!isNixeryError(error)) return { code: undefined, message: 'an internal error' }
  const { code, message, hint, detail } = error
  return { code, message, ...(hint !== undefined && { hint }), ...(detail !== undefined && { detail }) }
}

/** Restores an error from plain data. */
export function errorOf({ code, message, hint, detail }: BuildFailure): Error {
  if (code === undefined) return new Error(message)
  return new NixeryError(code, message, { hint, detail: detail as never })
}
