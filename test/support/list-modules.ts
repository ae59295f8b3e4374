/**
 * Loaded into a process with `--import`: appends the address of each module that it loads to the file MODULES_FILE, one
 * a line.
 */
import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const file = process.env['MODULES_FILE']
if (file === undefined) throw new Error('MODULES_FILE is not set')
registerHooks({
  load(url, context, next) {
    appendFileSync(file, `${url}\n`)
    return next(url, context)
  },
})
