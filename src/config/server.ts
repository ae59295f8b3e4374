import { trustedProxies } from './ranges.ts'
import { folder, matching, oneOf, seconds, text, whole } from './values.ts'

/** How the server listens and answers. */
export const serverSettings = {
  PORT: whole('a port', 0, 65_535).default(8080).describe('TCP port to listen on; 0 for a free one'),
  NIXERY_HOST: text
    .optional()
    .describe('address to listen on; all interfaces if packages are configured, else 127.0.0.1'),
  NIXERY_SENDFILE: matching(/^\/[A-Za-z0-9._/-]*\/$/, 'the path of a location, such as /blobs/')
    .optional()
    .describe(
      'location of a front server that sends the files of the filesystem store itself (`X-Accel-Redirect`)',
    ),
  NIXERY_MAX_STREAMS: whole('a number of blobs', 1, 1_000_000)
    .default(512)
    .describe('blobs that are sent at once; who asks for more is told to come back'),
  NIXERY_CATALOG: oneOf('on', 'off')
    .default('off')
    .describe('whether `/v2/_catalog` tells the names of images that were made'),
  NIXERY_PAGES: oneOf('full', 'own', 'off')
    .default('own')
    .describe(
      'pages for people: `own` shows a build to whoever has its link, `full` also lists recent builds and their errors at `/`, `off` has no pages',
    ),
  NIXERY_SHOW_TRACES: oneOf('on', 'off')
    .default('off')
    .describe(
      'whether those who pull see Nix’s traces and paths on the server; `off` leaves them to the log',
    ),
  NIXERY_STREAMS_PER_ADDRESS: whole('a number of blobs', 1, 1_000_000)
    .optional()
    .describe(
      'blobs sent at once to one IPv4 address or IPv6 /64 network; a quarter of `NIXERY_MAX_STREAMS` if not set',
    ),
  NIXERY_TRUSTED_PROXIES: trustedProxies
    .default(['private'])
    .describe(
      'addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed; `private` stands for loopback and private addresses, `none` for none',
    ),
  NIXERY_MIN_RATE: whole('a number of bytes per second', 0, 1e12)
    .default(1000)
    .describe('bytes per second, over a minute, that a client must read of an answer; 0 for no limit'),
  NIXERY_MAX_CONNECTIONS: whole('a number of connections', 1, 1_000_000)
    .default(8192)
    .describe('open connections; fewer if the process may not open that many files'),
  NIXERY_TLS_CERT: folder
    .optional()
    .describe('file with the certificate chain, in PEM, to serve HTTPS; read again when it changes'),
  NIXERY_TLS_KEY: folder.optional().describe('file with its key'),
  NIXERY_GRACE: seconds
    .default(10)
    .describe('seconds that running answers have to finish when the server is told to end'),
}
