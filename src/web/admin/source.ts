import type { KeyProblem, KeyRequest, ShownKey } from '../../credentials/new-key.ts'
import type { Overview } from '../../fleet/overview.ts'
import type { Quota, QuotaUse } from '../../quotas/quota.ts'
import type { Disk } from '../../telemetry/disk-stats.ts'
import type { Preview } from '../../upkeep/preview.ts'

/** The locations of blobs and facts, and the free space. Sizes are in bytes. */
export type Storage = {
  /** `filesystem`, `gcs` or `s3`. */
  readonly backend: string
  readonly catalog: { readonly kind: string; readonly bytes: number }
  readonly disks: readonly Disk[]
}

/** What is removed automatically; nothing if neither a time nor a size is set. */
export type CleanupSettings = {
  readonly keepDays: number | undefined
  readonly sizeLimit: number | undefined
  /** Seconds. */
  readonly interval: number
}

/** A quota, and the clients that it applies to. */
export type QuotaOf = { readonly who: string; readonly quota: Quota }

/** The data of the admin page, and changes of keys. Methods may fail like the store and the catalog. */
export type AdminSource = {
  readonly cleanup: CleanupSettings
  storage(): Promise<Storage>
  preview(): Preview
  readonly quotas: { rules(): readonly QuotaOf[]; uses(): Promise<readonly QuotaUse[]> }
  readonly keys: {
    list(): Promise<readonly ShownKey[]>
    create(
      request: KeyRequest,
    ): Promise<{ readonly key: string; readonly made: ShownKey } | { readonly problem: KeyProblem }>
    /** @returns undefined if there is no such key */
    revoke(id: string): Promise<ShownKey | undefined>
  }
  /** The state of processes that share a database; undefined without one. */
  readonly fleet: (() => Promise<Overview>) | undefined
}
