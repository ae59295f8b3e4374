import { createOperatorBook } from './operator-book.ts'

/** Only the built-in recipes, for tests. */
export const builtInBook = createOperatorBook({ folder: undefined, set: undefined, bare: false })
