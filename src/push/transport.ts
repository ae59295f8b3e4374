import type { IncomingHttpHeaders } from 'node:http'
import { isNixeryError, NixeryError, systemErrorCode } from '../errors.ts'
import { createHttpClient, type OpenResponse, type OutgoingRequest } from '../net/http-client.ts'
import { RegistryError } from './errors.ts'

export type Request = Pick<OutgoingRequest, 'method' | 'url' | 'headers' | 'body' | 'signal'>

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string }

/** Sends requests to registries and reads small responses. Neither follows redirects nor adds credentials. */
export type Transport = {
  send(request: Request): Promise<Answer>
  /** Sends a GET request, and returns when the response begins. */
  open(request: OpenRequest): Promise<OpenResponse>
  close(): void
}

export type OpenRequest = Pick<Request, 'url' | 'headers' | 'signal'>

/**
 * The HTTP client, with failures as RegistryError.
 * @param verify whether certificates must be trusted
 */
export function createTransport({ verify }: { verify: boolean }): Transport {
  const client = createHttpClient({ verify })
  return {
    async send(request) {
      try {
        const { status, headers, body } = await client.send(request)
        if (!body) throw Object.assign(new Error('the response is too large'), { code: 'EMSGSIZE' })
        return { status, headers, text: body.toString() }
      } catch (error) {
        throw failure(request.url, error)
      }
    },
    async open(request) {
      try {
        return await client.open(request)
      } catch (error) {
        throw failure(request.url, error)
      }
    },
    close: () => client.close(),
  }
}

/** Whether the registry was reached but its certificate is not trusted. */
export const isCertificateTrouble = (error: unknown): boolean =>
  error instanceof RegistryError &&
  /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(systemErrorCode(error.cause) ?? '')

/** What failed while a response was read, as a RegistryError. Names only the host: the URL may hold a signature. */
export function failure(url: URL, cause: unknown): Error {
  if (isNixeryError(cause)) return cause
  if (cause instanceof Error && cause.name === 'AbortError') {
    return new NixeryError('CANCELLED', 'interrupted', { cause })
  }
  const code = systemErrorCode(cause)
  if (code === undefined) return cause instanceof Error ? cause : new Error(String(cause))
  const isSecurity = /CERT|SELF_SIGNED|UNABLE_TO_|SSL|EPROTO/.test(code)
  return new RegistryError('REGISTRY_UNAVAILABLE', `${url.host} cannot be reached: ${code}`, {
    cause,
    detail: { reason: code },
    answered: false,
    passing: !isSecurity && code !== 'ENOTFOUND',
    ...(isSecurity && { hint: 'use --insecure to allow untrusted certificates and plain HTTP' }),
  })
}
