/** An image that was built for a name. Times are in seconds since 1970. */
type ServedImage<T> = { readonly image: T; readonly madeAt: number }

/** A tag of a repository for one architecture. */
type PulledImage<T> = {
  readonly tag: string
  readonly architecture: string
  readonly image: T
  readonly pulledAt: number
  readonly pulls: number
}

/** See `Parse` of the catalog. */
type Reader<T> = (text: string) => T | undefined

/** What is known about the images of a name, for its page. */
export type ImagesOfNames = {
  /** The tags with which a repository was pulled, and their images, most recently pulled first. */
  pulledImages<T>(repository: string, limit: number, parse: Reader<T>): Promise<PulledImage<T>[]>
  /** The known images that were served for a repository, newest first. */
  servedImages<T>(repository: string, limit: number, parse: Reader<T>): Promise<ServedImage<T>[]>
}
