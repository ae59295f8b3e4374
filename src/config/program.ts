import { folder, oneOf } from './values.ts'

/** Folders and the log. */
export const programSettings = {
  NIXERY_DATA: folder
    .optional()
    .describe(
      'folder of the catalog, of garbage collector roots and of the demo packages; the user’s data folder if not set',
    ),
  NIXERY_CACHE: folder
    .optional()
    .describe('folder of what can be fetched again; the user’s cache folder if not set'),
  NIXERY_LOG_LEVEL: oneOf('debug', 'info', 'warn', 'error')
    .default('info')
    .describe('least level of log lines'),
}
