import { list, oneOf, seconds, size, whole } from './values.ts'

const listOfTokens = list
  .refine((items) => items.every((item) => /^[^=/@]+=[\x21-\x7e]+$/.test(item)), {
    error: 'must be a list of host=token',
  })
  .default([])

/** Binary caches from which images are made without a Nix store. */
export const cacheSettings = {
  NIXERY_ORIGIN: oneOf('store', 'auto', 'caches')
    .default('store')
    .describe(
      'where the contents of packages come from: `store`, the Nix store, into which Nix builds or fetches them; `auto`, the store if they are there, else straight from binary caches, else Nix; `caches`, binary caches alone: nothing is built. See binary-caches.md',
    ),
  NIXERY_SUBSTITUTERS: list
    .optional()
    .describe(
      'binary caches that images are made from, as http, https or file addresses in Nix’s form, with `?priority=` and `?trusted=`; if not set, those of Nix’s configuration',
    ),
  NIXERY_TRUSTED_KEYS: list
    .default([])
    .describe('public keys, `name:base64`, that sign paths in them, besides those of Nix’s configuration'),
  NIXERY_CACHE_TOKENS: listOfTokens.describe(
    'bearer tokens for binary caches, `host=token` each; the host may have a port. Sent to that host only, in place of a login from `netrc-file` of Nix’s configuration',
  ),
  NIXERY_CACHE_CONNECTIONS: whole('a number of connections', 1, 200)
    .optional()
    .describe(
      'connections to one binary cache at once; `http-connections` of Nix’s configuration if not set',
    ),
  NIXERY_CACHE_TIMEOUT: seconds
    .default(20)
    .describe('seconds without a byte from a binary cache after which a request is tried again'),
  NIXERY_CACHE_SPOOL: size
    .prefault('2GB')
    .describe(
      'room that files from binary caches may take beside the store while layers are packed from them',
    ),
}
