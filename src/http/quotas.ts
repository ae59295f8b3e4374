import type { BuildPlace, Usage } from '../quotas/quotas.ts'
import type { Holder, QuotaUse } from '../quotas/quota.ts'
import type { Quotas } from '../quotas/quotas-by-holder.ts'
import type { AddressOf } from './address.ts'
import type { HttpRequest } from './request.ts'

/** Applies quotas to requests. See `Usage` for what each method throws. */
export type RequestQuotas = {
  /** Whether the client of a request whose identity is known has a quota. */
  has(request: HttpRequest): boolean
  /** Counts a request whose identity is known. */
  request(request: HttpRequest): Promise<void> | undefined
  /** undefined where builds are not limited */
  build(request: HttpRequest): Promise<BuildPlace | undefined>
  checkBytes(request: HttpRequest): Promise<void>
  addBytes(request: HttpRequest, bytes: number): Promise<void>
  headers(request: HttpRequest): Promise<Readonly<Record<string, string>>>
  /** What clients have used. */
  uses(): Promise<QuotaUse[]>
  /** Writes what is only counted in memory yet. */
  flush(): Promise<void>
}

export function createRequestQuotas(quotas: Quotas, addressOf: AddressOf): RequestQuotas {
  const of = (request: HttpRequest): { usage: Usage; holder: Holder } | undefined =>
    quotas.of(request.identity, () => addressOf(request.peer(), request.header('x-forwarded-for')))
  return {
    has: (request) => of(request) !== undefined,
    request(request) {
      const found = of(request)
      return found?.usage.request(found.holder)
    },
    async build(request) {
      const found = of(request)
      return found?.usage.build(found.holder)
    },
    async checkBytes(request) {
      const found = of(request)
      await found?.usage.checkBytes(found.holder)
    },
    async addBytes(request, bytes) {
      const found = of(request)
      await found?.usage.addBytes(found.holder, bytes)
    },
    async headers(request) {
      const found = of(request)
      return found ? found.usage.headers(found.holder) : {}
    },
    uses: () => quotas.uses(),
    flush: () => quotas.flush(),
  }
}
