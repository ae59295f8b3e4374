/** The result of the last scrub, for all processes. Methods fail with STORE_UNAVAILABLE when the database fails. */
export type ScrubResults = {
  remember(result: object): Promise<void>
  last<T>(parse: (text: string) => T | undefined): Promise<T | undefined>
}
