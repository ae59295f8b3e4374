import { createOperatorBook } from './operator-book.ts'

/** The built-in recipes alone, for tests. */
export const builtInBook = createOperatorBook({ folder: undefined, set: undefined, bare: false })
