import { formatPinned, type BaseReference, type PinnedBase } from '../image/base.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import type { Platform } from '../image/platform.ts'
import { hasCode } from '../errors.ts'
import { findCredentials } from '../push/auth-files.ts'
import { connect, type RegistryClient } from '../push/client.ts'
import { RegistryError } from '../push/errors.ts'
import { refused } from '../push/refusal.ts'
import { retrying } from '../push/retry.ts'
import { createTransport, failure } from '../push/transport.ts'
import { readBaseConfig, type BaseConfig } from './base-config.ts'
import { BaseProblem } from './errors.ts'
import { acceptedManifests, chooseManifest, readManifest, type LayerDescriptor } from './manifest.ts'

/** A registry's facts about a base image for one platform. */
export type FetchedBase = BaseConfig & { readonly layers: readonly LayerDescriptor[] }

/** Reads images of other registries, with the credentials that `podman login` or `docker login` stored. */
export type BaseRegistry = {
  /**
   * The manifest and config of a base for a platform, every digest verified.
   * @throws BaseProblem
   */
  describe(base: PinnedBase, platform: Platform, signal: AbortSignal): Promise<FetchedBase>
  /** The bytes of a layer as sent by the registry, not verified. @throws BaseProblem */
  layer(base: PinnedBase, digest: Digest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** The current digest of a tag. @throws BaseProblem */
  resolve(base: BaseReference, signal: AbortSignal): Promise<Digest>
}

export type BaseRegistryOptions = {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Milliseconds before the first retry. */
  readonly firstDelay?: number
}

// The maximum size of manifests and configs in bytes: containerd's limit (core/remotes/docker/resolver.go).
const mostManifest = 4_000_000

export function createBaseRegistry({ environment, firstDelay = 500 }: BaseRegistryOptions): BaseRegistry {
  async function withClient<T>(
    { host, repository }: BaseReference,
    signal: AbortSignal,
    work: (client: RegistryClient, scopes: readonly string[]) => Promise<T>,
  ): Promise<T> {
    const transport = createTransport({ verify: true })
    try {
      return await retrying(
        async () => {
          const credentials = await findCredentials(host, repository, environment)
          const client = await connect(host, { transport, credentials, insecure: false, signal })
          return work(client, [`repository:${repository}:pull`])
        },
        { signal, firstDelay, onRetry: () => {} },
      )
    } catch (error) {
      throw problemOf(error)
    }
  }

  const manifestOf = async (
    client: RegistryClient,
    scopes: readonly string[],
    { repository }: BaseReference,
    name: string,
    signal: AbortSignal,
  ): Promise<string> => {
    const url = new URL(`${repository}/manifests/${name}`, client.base)
    const answer = await client.send(
      { method: 'GET', url, headers: { Accept: acceptedManifests }, signal },
      scopes,
    )
    if (answer.status === 200) return answer.text
    if (answer.status === 404)
      throw missing(`${repository}${name.includes(':') ? '@' : ':'}${name}`, client.host)
    throw refused(client, `the manifest ${name}`, answer)
  }

  return {
    describe: (base, platform, signal) =>
      withClient(base, signal, async (client, scopes) => {
        const manifestAt = async (digest: Digest) =>
          verified(await manifestOf(client, scopes, base, digest, signal), digest)
        let found = readManifest(await manifestAt(base.digest))
        if (found.kind === 'index') {
          found = readManifest(await manifestAt(chooseManifest(found.manifests, platform).digest))
          if (found.kind === 'index') throw new BaseProblem('its index names another index')
        }
        const { config, layers } = found
        if (config.size > mostManifest)
          throw new BaseProblem(`its config has more than ${mostManifest} bytes`)
        const url = new URL(`${base.repository}/blobs/${config.digest}`, client.base)
        const answer = await client.send({ method: 'GET', url, signal }, scopes)
        if (answer.status === 404)
          throw missing(`the config ${config.digest} of ${formatPinned(base)}`, client.host)
        if (answer.status !== 200) throw refused(client, 'its config', answer)
        const read = readBaseConfig(verified(answer.text, config.digest), platform)
        if (read.diffIds.length !== layers.length) {
          throw new BaseProblem(
            `its config has ${read.diffIds.length} layers, and its manifest of ${layers.length}`,
          )
        }
        return { ...read, layers }
      }),

    layer: (base, digest, signal) =>
      withClient(base, signal, async (client, scopes) => {
        const url = new URL(`${base.repository}/blobs/${digest}`, client.base)
        const answer = await client.open({ url, signal }, scopes)
        if (answer.status === 200) return named(answer.body, url)
        await answer.discard()
        if (answer.status === 404) throw missing(`the layer ${digest} of ${formatPinned(base)}`, client.host)
        throw refused(client, `the layer ${digest}`, { ...answer, text: '' })
      }),

    resolve: (base, signal) =>
      withClient(base, signal, async (client, scopes) => {
        const text = await manifestOf(client, scopes, base, base.tag ?? 'latest', signal)
        readManifest(text)
        return digestOf(text)
      }),
  }
}

/** Returns the text if it has this digest. @throws BaseProblem */
function verified(text: string, digest: Digest): string {
  if (digestOf(text) === digest) return text
  throw changed(digest)
}

/** The error for content with the wrong digest. */
export const changed = (digest: Digest): BaseProblem =>
  new BaseProblem(
    `the registry sent content that does not match ${digest}: the image was damaged or replaced; pin it again with \`nixery recipe lock --update\``,
  )

const missing = (what: string, host: string): BaseProblem =>
  new BaseProblem(
    `${host} does not have ${what}: it was removed or never existed; use another one, or pin its tag again with \`nixery recipe lock --update\``,
  )

/** A body whose failures become problems of the base. */
async function* named(body: AsyncIterable<Uint8Array>, url: URL): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw problemOf(failure(url, error))
  }
}

function problemOf(error: unknown): unknown {
  if (error instanceof RegistryError) {
    const advice = error.passing ? 'try again in a moment' : error.hint
    return new BaseProblem(`${error.message}${advice === undefined ? '' : `: ${advice}`}`, {
      cause: error,
      passing: error.passing || error.code === 'REGISTRY_UNAVAILABLE',
    })
  }
  if (hasCode(error, 'CONFIG_INVALID')) {
    return new BaseProblem('the credentials of this server for the registry cannot be read', { cause: error })
  }
  return error
}
