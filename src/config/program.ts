import { folder, oneOf } from './values.ts'

/** Folders and the log. */
export const programSettings = {
  NIXERY_DATA: folder
    .optional()
    .describe(
      'data folder: the catalog, garbage collector roots and the demo packages; in the user’s data folder if not set',
    ),
  NIXERY_CACHE: folder.optional().describe('cache folder; in the user’s cache folder if not set'),
  NIXERY_LOG_LEVEL: oneOf('debug', 'info', 'warn', 'error')
    .default('info')
    .describe('minimum level of log lines'),
}
