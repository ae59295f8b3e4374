import type { Bases } from './bases.ts'

const none = () => Promise.reject(new Error('these tests have no bases'))

/** For tests without base images. */
export const noBases: Bases = { find: none, isFetched: none, fetch: none, scans: none }
