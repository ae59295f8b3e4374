import type { PublicTexts } from '../text/public.ts'

/** A package source, as shown on the page. */
export type SourceDescription = {
  /** The name of the package set, if there are several. */
  readonly set?: string | undefined
  readonly source: string
  readonly revision?: string | undefined
}

/** The part of a package source that is needed to describe it. It may change. */
type Source = {
  readonly description: string
  readonly publicDescription?: string | undefined
}

// Milliseconds. A folder's revision is a hash of its contents, which is not computed for every visitor.
const pause = 60_000

/**
 * Describes the source and its revision. Finding the revision may take long and contact other servers, so visitors get
 * the last known one at once.
 */
export function describeSource(
  source: Source,
  revisionNow: () => Promise<string>,
  texts: PublicTexts,
  now: () => number = () => performance.now(),
): () => SourceDescription {
  let revision: string | undefined
  let next = -Infinity
  const lookUp = async (): Promise<void> => {
    next = Infinity // one request at a time
    try {
      revision = texts.strict(await revisionNow()).replace('/nix/store/', '')
    } catch {
      // The last revision remains. Clients that pull get the error.
    }
    next = now() + pause
  }
  return () => {
    if (now() >= next) void lookUp()
    return { source: texts.strict(source.publicDescription ?? source.description), revision }
  }
}
