/**
 * A module for `--import`: appends the URL of each module that the process loads to the file MODULES_FILE, one per line.
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
