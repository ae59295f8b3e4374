/** A program for tests that holds a lock until it is killed. */
import { withLock } from './lock.ts'

await withLock(process.argv[2] ?? '', {}, async () => {
  process.send?.('locked')
  await new Promise((resolve) => process.once('disconnect', resolve))
})
