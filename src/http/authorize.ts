import type { Identity } from '../access/identity.ts'
import { isInScope } from '../access/policy.ts'
import type { Action, May, Subject } from '../access/may.ts'
import { hasCode, NixeryError } from '../errors.ts'
import type { RequestAddress } from './address.ts'
import type { AuditListener } from './audit.ts'
import { identify, loginNeeded, scopeNeeded, type Guard } from './guard.ts'
import type { RequestQuotas } from './quotas.ts'
import type { HttpRequest } from './request.ts'

export type AuthorizeDeps = {
  /** Decides what each request may do. */
  readonly may: May
  /** Looks up facts about a subject that `may` needs, if they are not known yet. */
  readonly prepare?: ((identity: Identity, subject: Subject) => Promise<void> | undefined) | undefined
  /** Determines the identity of a request; without it, everyone is anonymous. */
  readonly guard?: Guard | undefined
  /** The address of a request, which gets a share of the checks of passwords. */
  readonly addressOf?: RequestAddress | undefined
  /** Counts requests; without it, they are not limited. */
  readonly quotas?: RequestQuotas | undefined
  /** Receives logins, refusals and builds. */
  readonly audit?: AuditListener | undefined
}

/**
 * The only place that allows a request. Called exactly once for each request, after its route was found and before
 * it is handled, for the registry's routes, the pages and the operator's routes alike. Sets the request's identity.
 * @returns undefined if the decision is synchronous
 * @throws UNAUTHENTICATED, ACCESS_DENIED, RATE_LIMITED
 */
export function authorize(
  deps: AuthorizeDeps,
  request: HttpRequest,
  action: Action,
  subject: Subject,
): Promise<void> | undefined {
  // Public subjects need no credentials, so invalid ones are ignored.
  if (subject === 'public') return decide(deps, request, action, subject)
  if (deps.quotas) return counted(deps, deps.quotas, request, action, subject)
  if (!deps.guard) return decide(deps, request, action, subject)
  const identity = identify(deps.guard, request, deps.addressOf)
  if (!(identity instanceof Promise)) {
    request.identity = identity
    return decide(deps, request, action, subject)
  }
  return identity.then(
    (found) => {
      request.identity = found
      return decide(deps, request, action, subject)
    },
    (error: unknown) => unverified(deps, request, error),
  )
}

/** Credentials that cannot be verified are also refused, for example while the keys of an issuer cannot be fetched. */
export function unverified(
  { audit }: Pick<AuthorizeDeps, 'audit'>,
  request: HttpRequest,
  error: unknown,
): never {
  // Invalid credentials are reported where the reply is created.
  if (!hasCode(error, 'UNAUTHENTICATED')) audit?.({ event: 'refused', request, error })
  throw error
}

/** The same with quotas. Invalid credentials count for their address. */
function counted(
  deps: AuthorizeDeps,
  quotas: RequestQuotas,
  request: HttpRequest,
  action: Action,
  subject: Subject,
): Promise<void> | undefined {
  const refused = async (error: unknown) => {
    if (hasCode(error, 'UNAUTHENTICATED')) await quotas.request(request)
    return unverified(deps, request, error)
  }
  const known = (identity: Identity) => {
    request.identity = identity
    const taken = quotas.request(request)
    return taken
      ? taken.then(() => decide(deps, request, action, subject))
      : decide(deps, request, action, subject)
  }
  let identity: Identity | Promise<Identity>
  try {
    identity = deps.guard ? identify(deps.guard, request, deps.addressOf) : request.identity
  } catch (error) {
    return refused(error)
  }
  return identity instanceof Promise ? identity.catch(refused).then(known) : known(identity)
}

function decide(
  deps: AuthorizeDeps,
  request: HttpRequest,
  action: Action,
  subject: Subject,
): Promise<void> | undefined {
  const preparing = deps.prepare?.(request.identity, subject)
  if (!preparing) return decideNow(deps, request, action, subject)
  return preparing.then(() => decideNow(deps, request, action, subject))
}

function decideNow(
  { may, guard, audit }: AuthorizeDeps,
  request: HttpRequest,
  action: Action,
  subject: Subject,
): undefined {
  const { identity } = request
  if (audit && identity.how !== 'anonymous') audit({ event: 'login', request })
  if (identity.repositories && !isInScope(identity.repositories, subject)) throw scopeNeeded()
  if (may(identity, action, subject)) return
  if (guard && identity.how === 'anonymous') throw loginNeeded()
  throw new NixeryError('ACCESS_DENIED', 'access denied')
}
