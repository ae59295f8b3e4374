import { anonymous } from '../access/identity.ts'
import type { Action, May, Subject } from '../access/may.ts'
import { NixeryError } from '../errors.ts'
import { identify, loginNeeded, type Guard } from './guard.ts'
import type { HttpRequest } from './request.ts'

export type AuthorizeDeps = {
  /** Decides what each request may do. */
  readonly may: May
  /** Finds out who sends a request; without it, everyone is anonymous. */
  readonly guard?: Guard | undefined
}

/**
 * The one place where a request is allowed. Called exactly once for each request, after its route was found and before
 * it is answered, for the registry's routes, the pages and the operator's routes alike. Sets the request's identity.
 * @returns undefined if that is decided at once
 * @throws UNAUTHENTICATED, ACCESS_DENIED
 */
export function authorize(
  deps: AuthorizeDeps,
  request: HttpRequest,
  action: Action,
  subject: Subject,
): Promise<void> | undefined {
  // Nobody needs credentials for what is public, and wrong ones do no harm there.
  if (!deps.guard || subject === 'public') return decide(deps, request, action, subject)
  const identity = identify(deps.guard, request)
  if (!(identity instanceof Promise)) {
    request.identity = identity
    return decide(deps, request, action, subject)
  }
  return identity.then((found) => {
    request.identity = found
    return decide(deps, request, action, subject)
  })
}

function decide(
  { may, guard }: AuthorizeDeps,
  { identity }: HttpRequest,
  action: Action,
  subject: Subject,
): undefined {
  if (may(identity, action, subject)) return
  if (guard && identity === anonymous) throw loginNeeded()
  throw new NixeryError('ACCESS_DENIED', 'access denied')
}
