import type { Key } from '../image/canonical.ts'

/** A key for tests, which may have any text. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says which
export const testKey = <K extends Key>(text: string): K => text as K

/** For values that a test reads as they are. */
export const parseAny = (json: string): object => JSON.parse(json) as object
