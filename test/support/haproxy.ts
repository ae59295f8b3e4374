import { writeFile } from 'node:fs/promises'
import { execa } from 'execa'

export type Haproxy = { readonly address: string; stop(): Promise<void> }

/**
 * Starts haproxy in front of front ends, configured as docs/scaling.md recommends.
 * @param file the path for its configuration
 */
export const startHaproxy = (file: string, port: number, fronts: readonly string[]): Promise<Haproxy> =>
  start(
    file,
    port,
    `defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 10s
  retries 3
  option redispatch
  retry-on conn-failure empty-response
listen nixery
  bind 127.0.0.1:${port}
  balance leastconn
  option httpchk GET /readyz
${fronts.map((address, n) => `  server front${n} ${address} check inter 1s fall 2 rise 1`).join('\n')}
`,
  )

/** A database server, and the port at which Patroni reports the server's role. */
export type PatroniAddress = { readonly address: string; readonly status: number }

/** Starts haproxy in front of database servers; it forwards to the primary, as reported by Patroni. */
export const startHaproxyOfDatabase = (
  file: string,
  port: number,
  servers: readonly PatroniAddress[],
): Promise<Haproxy> =>
  start(
    file,
    port,
    `defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 2s
listen database
  bind 127.0.0.1:${port}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
${servers.map(({ address, status }, n) => `  server database${n} ${address} check port ${status}`).join('\n')}
`,
  )

async function start(file: string, port: number, configuration: string): Promise<Haproxy> {
  await writeFile(file, configuration)
  const haproxy = execa('haproxy', ['-db', '-f', file], {
    env: { PATH: `${process.env['PATH']}:/usr/sbin` },
    reject: false,
    stdin: 'ignore',
  })
  return {
    address: `127.0.0.1:${port}`,
    async stop() {
      haproxy.kill()
      await haproxy
    },
  }
}
