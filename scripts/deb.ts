import { join } from 'node:path'
import { reportFailure } from './checks.ts'
import { makeDeb } from './deb-package.ts'

// Makes the Debian package of the program in the working directory.

try {
  await import('./emit.ts')
  process.stdout.write(`${await makeDeb(join(process.cwd()))}\n`)
} catch (error) {
  reportFailure('deb', error)
}
