import { NixeryError } from '../errors.ts'
import type { Reply } from '../http/reply.ts'
import type { HttpRequest } from '../http/request.ts'
import type { Page } from './layout.ts'

export type Show = (
  page: Page,
  status: number,
  headers?: Readonly<Record<string, string>>,
  request?: HttpRequest,
) => Reply

// The maximum size of a form in bytes.
const largestForm = 8 * 1024

/** The fields of a submitted form. @throws REQUEST_INVALID */
export const fieldsOf = async (request: HttpRequest): Promise<URLSearchParams> =>
  new URLSearchParams(await request.body(largestForm))

/** Rejects a form sent by another site. @throws REQUEST_INVALID */
export function checkToken(fields: URLSearchParams, expected: string | undefined): void {
  if (expected !== undefined && expected !== '' && fields.get('csrf') === expected) return
  throw new NixeryError('REQUEST_INVALID', 'this form is too old, or from another site', {
    hint: 'go back, reload the page, and try again',
  })
}

export const redirect = (to: string, headers: Readonly<Record<string, string>> = {}): Reply => ({
  status: 303,
  headers: { Location: to, 'Cache-Control': 'no-store', 'Content-Length': '0', ...headers },
  body: undefined,
})
