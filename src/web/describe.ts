import type { PublicTexts } from '../text/public.ts'

/** Where packages come from, as the page tells it. */
export type SourceDescription = { readonly source: string; readonly revision?: string | undefined }

/** As much of a package source as is needed to tell of it. */
type Source = {
  readonly description: string
  readonly publicDescription?: string | undefined
  pin(tag: string): Promise<{ readonly revision: string }>
}

// A folder's revision is a hash of all that is in it: not for every visitor anew (ms).
const pause = 60_000

/**
 * Tells the source and its revision. To find the revision may take long and ask other servers, so a visitor gets the
 * one that was found last, and none waits.
 */
export function describeSource(
  source: Source,
  texts: PublicTexts,
  now: () => number = () => performance.now(),
): () => SourceDescription {
  let revision: string | undefined
  let next = -Infinity
  const lookUp = async (): Promise<void> => {
    next = Infinity // one at a time
    try {
      revision = texts.strict((await source.pin('latest')).revision).replace('/nix/store/', '')
    } catch {
      // The last one stays. Whoever pulls is told.
    }
    next = now() + pause
  }
  return () => {
    if (now() >= next) void lookUp()
    return { source: texts.strict(source.publicDescription ?? source.description), revision }
  }
}
