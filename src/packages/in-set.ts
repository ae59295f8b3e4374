import { hasCode, NixeryError } from '../errors.ts'

const ofSet = [
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'SOURCE_INVALID',
  'SOURCE_UNREACHABLE',
  'MANIFEST_UNKNOWN',
  'EVALUATION_TIMEOUT',
] as const

/** The same failure, whose message names the package set; failures that have nothing to do with it stay as they are. */
export function inSet(name: string, error: unknown): unknown {
  const renamed = (message: string, { code, hint, detail }: NixeryError) =>
    new NixeryError(code, message, { cause: error, detail, ...(hint !== undefined && { hint }) })
  // Its first sentence is the original's, for scripts that look for it.
  if (hasCode(error, 'PACKAGE_UNKNOWN'))
    return renamed(`${error.message} These were looked for in the package set ${name}.`, error)
  if (!hasCode(error, ...ofSet)) return error
  return renamed(`package set ${name}: ${error.message}`, error)
}
