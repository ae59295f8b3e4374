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
      'source of the contents of packages: `store`, the Nix store, into which Nix builds or fetches them; `auto`, the store if it has them, otherwise binary caches directly, otherwise Nix; `caches`, only binary caches: nothing is built. See binary-caches.md',
    ),
  NIXERY_SUBSTITUTERS: list
    .optional()
    .describe(
      'binary caches from which images are built, as http, https or file URLs in Nix’s format, with `?priority=` and `?trusted=`; if not set, those in Nix’s configuration',
    ),
  NIXERY_TRUSTED_KEYS: list
    .default([])
    .describe(
      'public keys, `name:base64`, that sign paths in these caches, in addition to those in Nix’s configuration',
    ),
  NIXERY_CACHE_TOKENS: listOfTokens.describe(
    'bearer tokens for binary caches, as `host=token`; the host may include a port. Sent only to that host, instead of a login from Nix’s `netrc-file`',
  ),
  NIXERY_CACHE_CONNECTIONS: whole('a number of connections', 1, 200)
    .optional()
    .describe('maximum number of connections to one binary cache; Nix’s `http-connections` if not set'),
  NIXERY_CACHE_TIMEOUT: seconds
    .default(20)
    .describe('seconds without data from a binary cache after which a request is retried'),
  NIXERY_CACHE_SPOOL: size
    .prefault('2GB')
    .describe('maximum size of temporary files from binary caches while layers are packed from them'),
}
