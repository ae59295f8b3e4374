import { z } from 'zod'
import type { CatalogUpkeep } from '../catalog/catalog.ts'
import type { Scrubbed } from './scrub.ts'

const form = z.object({ at: z.number(), checked: z.number(), size: z.number(), damaged: z.number() })

/** What is remembered of a scrub. `at` is in seconds since 1970, the size in bytes. */
export type LastScrub = z.infer<typeof form>

// Milliseconds for which it is not read again.
const believed = 60_000

/** @throws STORE_UNAVAILABLE when the catalog fails */
export const rememberScrub = (
  upkeep: Pick<CatalogUpkeep, 'scrubs'>,
  { checked, size, damaged }: Scrubbed,
  at: number,
): Promise<void> => upkeep.scrubs.remember({ at, checked, size, damaged: damaged.length } satisfies LastScrub)

/** Reads the last scrub of a catalog, by whatever process; what cannot be read is undefined. */
export function createLastScrub(
  upkeep: Pick<CatalogUpkeep, 'scrubs'>,
  now: () => number = () => performance.now(),
): () => Promise<LastScrub | undefined> {
  let known: { readonly until: number; readonly value: Promise<LastScrub | undefined> } | undefined
  return () => {
    if (!known || known.until <= now()) {
      known = { until: now() + believed, value: upkeep.scrubs.last(parse).catch(() => undefined) }
    }
    return known.value
  }
}

function parse(text: string): LastScrub | undefined {
  try {
    return form.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
