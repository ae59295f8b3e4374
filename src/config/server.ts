import { trustedProxies } from './ranges.ts'
import { folder, matching, oneOf, seconds, text, whole } from './values.ts'

/** How the server listens and responds. */
export const serverSettings = {
  PORT: whole('a port', 0, 65_535).default(8080).describe('TCP port to listen on; 0 for a free one'),
  NIXERY_HOST: text
    .optional()
    .describe('address to listen on; all interfaces if packages are configured, else 127.0.0.1'),
  NIXERY_SENDFILE: matching(/^\/[A-Za-z0-9._/-]*\/$/, 'the path of a location, such as /blobs/')
    .optional()
    .describe(
      'internal location of a front server that sends the blobs of the filesystem store (`X-Accel-Redirect`); see front-server.md',
    ),
  NIXERY_MAX_STREAMS: whole('a number of blobs', 1, 1_000_000)
    .default(512)
    .describe('maximum number of blobs sent at the same time; further requests get 429 with `Retry-After`'),
  NIXERY_CATALOG: oneOf('on', 'off')
    .default('off')
    .describe('whether `/v2/_catalog` lists the names of built images'),
  NIXERY_PAGES: oneOf('full', 'own', 'off')
    .default('own')
    .describe(
      'web pages: `own` shows a build to anyone who has its link, `full` also lists recent builds and their errors at `/`, `off` serves no pages',
    ),
  NIXERY_SEARCH: oneOf('on', 'demand', 'off')
    .default('demand')
    .describe(
      'package search, on the pages and at `/api/v1/search`: `on` builds the index when the server starts, `demand` at the first search, `off` disables the search; with NIXERY_DATABASE_URL, one of all processes builds it for all; see scaling.md',
    ),
  NIXERY_SEARCH_MEMORY: whole('a whole number of megabytes', 64, 1_000_000)
    .default(1500)
    .describe(
      'megabytes of memory that each evaluation for the search index may use; one runs at a time, with low priority, in addition to NIXERY_EVAL_MEMORY',
    ),
  NIXERY_SHOW_TRACES: oneOf('on', 'off')
    .default('off')
    .describe(
      'whether error messages to clients contain Nix’s traces and paths of the server; with `off`, only the log contains them',
    ),
  NIXERY_STREAMS_PER_ADDRESS: whole('a number of blobs', 1, 1_000_000)
    .optional()
    .describe(
      'maximum number of blobs sent at the same time to one IPv4 address or IPv6 /64 network; a quarter of `NIXERY_MAX_STREAMS` if not set',
    ),
  NIXERY_TRUSTED_PROXIES: trustedProxies
    .default(['private'])
    .describe(
      'addresses and CIDR ranges of proxies whose `X-Forwarded-For` is trusted; `private` stands for loopback and private addresses, `none` for none',
    ),
  NIXERY_MIN_RATE: whole('a number of bytes per second', 0, 1e12)
    .default(1000)
    .describe(
      'minimum rate, in bytes per second over a minute, at which a client must read a response; 0 for no limit',
    ),
  NIXERY_MAX_CONNECTIONS: whole('a number of connections', 1, 1_000_000)
    .default(8192)
    .describe('maximum number of open connections; less if the process may not open that many files'),
  NIXERY_TLS_CERT: folder
    .optional()
    .describe('PEM file with the certificate chain, to serve HTTPS; reloaded when it changes'),
  NIXERY_TLS_KEY: folder.optional().describe('PEM file with the private key of NIXERY_TLS_CERT'),
  NIXERY_TLS_CLIENT_CA: folder
    .optional()
    .describe(
      'PEM file with the authorities of client certificates, which authenticate clients: the common name is the user, the organizations are the groups; reloaded when it changes. Needs NIXERY_TLS_CERT and `NIXERY_AUTH`',
    ),
  NIXERY_GRACE: seconds
    .default(10)
    .describe('seconds that responses in progress may take to finish when the server stops'),
}
