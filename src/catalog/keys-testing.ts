import type { Key } from '../image/canonical.ts'

/** A key for tests, which may have any text. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller chooses the type
export const testKey = <K extends Key>(text: string): K => text as K

/** For values that a test reads unchanged. */
export const parseAny = (json: string): object => JSON.parse(json) as object
