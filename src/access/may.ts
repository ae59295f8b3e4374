import type { Digest } from '../image/digest.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Identity } from './identity.ts'

/**
 * What a request does. `pull` reads what exists; `build` evaluates, fetches and packs; `list` names what others
 * pulled; `logs` reads the log of a build; `admin` reads the server's own state; `keys` makes and revokes API keys, and with
 * them grants whatever a policy grants to anyone.
 */
export type Action = 'pull' | 'build' | 'list' | 'logs' | 'admin' | 'keys'

/** The subject of a request: the meaning of a name and not its spelling, so that `a/b` and `b/a` are the same. */
export type Subject =
  | { readonly imageRequest: ImageRequest }
  /** Content by its digest (undefined for an algorithm that no content here has) under the name of an image. */
  | { readonly digest: Digest | undefined; readonly imageRequest: ImageRequest }
  /** The page of a build, by its id; the image of a forgotten build is unknown. */
  | { readonly build: string; readonly imageRequest?: ImageRequest | undefined }
  /** The server itself: its API version, its lists, its metrics. */
  | 'server'
  /** Public files without information about images or clients, such as a style sheet. */
  | 'public'

/** Decides whether an identity may do something. Pure and synchronous: called once for every request. */
export type May = (identity: Identity, action: Action, subject: Subject) => boolean

/** Access control is off: everyone may do everything. */
export const allowAll: May = () => true

/** Without a policy: authenticated clients may pull, build, list and read logs. No client may read or change the server's state. */
export const allowKnown: May = (identity, action, subject) =>
  subject === 'public' || (identity.how !== 'anonymous' && action !== 'admin' && action !== 'keys')
