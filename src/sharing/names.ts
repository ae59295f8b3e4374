import type { StorePath } from '../image/store-path.ts'

const hashAt = '/nix/store/'.length
const hashLength = 32

/** The file of a path's narinfo in a binary cache. */
export const narinfoName = (path: StorePath): string => `${path.slice(hashAt, hashAt + hashLength)}.narinfo`
