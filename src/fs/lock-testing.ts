/** Holds a lock until it is killed; for the tests of locks. */
import { withLock } from './lock.ts'

await withLock(process.argv[2] ?? '', {}, async () => {
  process.send?.('locked')
  await new Promise((resolve) => process.once('disconnect', resolve))
})
