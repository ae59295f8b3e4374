import { z } from 'zod'
import type { Rootfs } from '../rootfs/rootfs.ts'

/**
 * What an image has besides its layers because of what its packages have. Remembered with the tree of links, so that an
 * image of known layers has the same config and warnings without anyone reading a store path.
 */
export type LinkFacts = Pick<Rootfs, 'env' | 'warnings'>

const form = z.object({ env: z.array(z.string()), warnings: z.array(z.string()) })

/** The facts as the catalog keeps them, with a layer. */
export const linkFactsText = ({ env, warnings }: LinkFacts): string => JSON.stringify({ env, warnings })

/** Reads facts that the catalog has; undefined for none, and for what this version cannot read: they are made again. */
export function parseLinkFacts(text: string | undefined): LinkFacts | undefined {
  try {
    return text === undefined ? undefined : form.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
