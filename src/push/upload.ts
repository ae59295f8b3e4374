import type { Digest } from '../image/digest.ts'
import type { RegistryClient } from './client.ts'
import { RegistryError } from './errors.ts'
import { refused } from './refusal.ts'
import type { Body } from '../net/http-client.ts'

/** How the target repository got a blob. */
export type Arrival = 'present' | 'mounted' | 'uploaded'

export type Upload = {
  readonly repository: string
  readonly digest: Digest
  readonly body: Body
  /** A repository of the same registry that may have the blob already. */
  readonly from: string | undefined
  readonly signal: AbortSignal
}

/**
 * Makes sure that a repository has a blob (distribution spec, "Pushing blobs"): if it does not, mounts the blob from
 * another repository or uploads it in one piece.
 * @throws REGISTRY_REFUSED, REGISTRY_UNAVAILABLE, CANCELLED, and what the body throws
 */
export async function ensureBlob(client: RegistryClient, upload: Upload): Promise<Arrival> {
  if (await hasBlob(client, upload)) return 'present'
  const session = await beginUpload(client, upload)
  if (session === undefined) return 'mounted'
  await putBlob(client, session, upload)
  return 'uploaded'
}

export const pushScope = (repository: string): string => `repository:${repository}:pull,push`
const pullScope = (repository: string): string => `repository:${repository}:pull`

async function hasBlob(client: RegistryClient, { repository, digest, signal }: Upload): Promise<boolean> {
  const url = new URL(`${repository}/blobs/${digest}`, client.base)
  const answer = await client.send({ method: 'HEAD', url, signal }, [pushScope(repository)])
  if (answer.status === 200) return true
  // After a redirect, an unexpected response comes from some storage. Uploading an existing blob does no harm.
  if (answer.status === 404 || answer.url.origin !== client.base.origin) return false
  throw refused(client, `the check for a blob in ${repository}`, answer)
}

/** @returns the upload URL; undefined if the registry mounted the blob */
async function beginUpload(client: RegistryClient, upload: Upload): Promise<URL | undefined> {
  const { repository, digest, from, signal } = upload
  const url = new URL(`${repository}/blobs/uploads/`, client.base)
  const post = (address: URL, scopes: string[]) =>
    client.send({ method: 'POST', url: address, signal }, [pushScope(repository), ...scopes])

  let answer = from === undefined ? undefined : await mount(url, digest, from, post)
  if (answer?.status === 201) return undefined
  // Some registries refuse to mount from a repository that may not be pulled; the specification lets them start an
  // upload instead.
  if (answer?.status !== 202) answer = await post(url, [])
  if (answer.status !== 202) throw refused(client, `an upload to ${repository}`, answer)
  const session = URL.parse(answer.headers.location ?? '', answer.url.href)
  if (session && /^https?:$/.test(session.protocol)) return session
  throw new RegistryError('REGISTRY_REFUSED', `${client.host} sent no valid upload URL`)
}

/** @returns undefined if the token server grants no access to the other repository */
async function mount<T>(
  uploads: URL,
  digest: Digest,
  from: string,
  post: (address: URL, scopes: string[]) => Promise<T>,
): Promise<T | undefined> {
  const url = new URL(uploads)
  url.searchParams.set('mount', digest)
  url.searchParams.set('from', from)
  try {
    return await post(url, [pullScope(from)])
  } catch (error) {
    if (error instanceof RegistryError && !error.passing) return undefined
    throw error
  }
}

async function putBlob(client: RegistryClient, session: URL, upload: Upload): Promise<void> {
  const { repository, digest, body, signal } = upload
  const url = new URL(session)
  // Appended as text: the query in the registry's URL must be sent back unchanged.
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`
  const headers = { 'Content-Type': 'application/octet-stream' }
  const answer = await client.send({ method: 'PUT', url, headers, body, signal }, [pushScope(repository)])
  if (answer.status !== 201 && answer.status !== 204) throw refused(client, `a blob upload`, answer)
}
