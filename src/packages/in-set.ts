import { hasCode, NixeryError } from '../errors.ts'

const ofSet = [
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'SOURCE_INVALID',
  'SOURCE_UNREACHABLE',
  'MANIFEST_UNKNOWN',
  'EVALUATION_TIMEOUT',
] as const

/** Adds the name of the package set to a failure's message; failures unrelated to the package set are unchanged. */
export function inSet(name: string, error: unknown): unknown {
  const renamed = (message: string, { code, hint, detail }: NixeryError) =>
    new NixeryError(code, message, { cause: error, detail, ...(hint !== undefined && { hint }) })
  // Its first sentence is the original's, for scripts that look for it.
  if (hasCode(error, 'PACKAGE_UNKNOWN'))
    return renamed(`${error.message} These were looked up in the package set ${name}.`, error)
  if (!hasCode(error, ...ofSet)) return error
  return renamed(`package set ${name}: ${error.message}`, error)
}
