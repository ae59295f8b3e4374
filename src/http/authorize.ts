import type { Action, May, Subject } from '../access/may.ts'
import { NixeryError } from '../errors.ts'
import type { HttpRequest } from './request.ts'

/**
 * The one place where a request is allowed. Called exactly once for each request, after its route was found and before
 * it is answered, for the registry's routes, the pages and the operator's routes alike.
 * @throws ACCESS_DENIED
 */
export function authorize(may: May, { identity }: HttpRequest, action: Action, subject: Subject): void {
  if (may(identity, action, subject)) return
  throw new NixeryError('ACCESS_DENIED', 'access denied')
}
