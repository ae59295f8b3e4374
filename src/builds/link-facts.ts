import { z } from 'zod'
import type { Rootfs } from '../rootfs/rootfs.ts'

/**
 * The environment variables and warnings that depend on the contents of packages. They are stored with the layer of links,
 * so that an image of known layers can be composed without reading store paths.
 */
export type LinkFacts = Pick<Rootfs, 'env' | 'warnings'>

const form = z.object({ env: z.array(z.string()), warnings: z.array(z.string()) })

/** Formats facts for the catalog. */
export const linkFactsText = ({ env, warnings }: LinkFacts): string => JSON.stringify({ env, warnings })

/** Parses facts in the catalog. Returns undefined if there are none, or this version cannot read them. */
export function parseLinkFacts(text: string | undefined): LinkFacts | undefined {
  try {
    return text === undefined ? undefined : form.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
