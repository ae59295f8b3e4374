/** An image that was made for a name. Times are seconds since 1970. */
type GivenImage<T> = { readonly image: T; readonly madeAt: number }

/** A tag of a repository for one architecture. */
type PulledImage<T> = {
  readonly tag: string
  readonly architecture: string
  readonly image: T
  readonly pulledAt: number
  readonly pulls: number
}

/** As `Parse` of the catalog. */
type Reader<T> = (text: string) => T | undefined

/** What is known of the images of a name, for its page. */
export type ImagesOfNames = {
  /** The tags that a repository was pulled under, with the image that each means, the last pulled first. */
  pulledImages<T>(repository: string, limit: number, parse: Reader<T>): Promise<PulledImage<T>[]>
  /** The images that were ever given under a repository and are still known, the last made first. */
  givenImages<T>(repository: string, limit: number, parse: Reader<T>): Promise<GivenImage<T>[]>
}
