import { writeFile } from 'node:fs/promises'
import { execa } from 'execa'

export type Haproxy = { readonly address: string; stop(): Promise<void> }

/**
 * Starts haproxy before front ends, as docs/scaling.md has it.
 * @param file for its configuration
 */
export async function startHaproxy(file: string, port: number, fronts: readonly string[]): Promise<Haproxy> {
  const servers = fronts.map((address, n) => `  server front${n} ${address} check inter 1s fall 2 rise 1`)
  await writeFile(
    file,
    `defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  retries 3
  option redispatch
  retry-on conn-failure empty-response
listen nixery
  bind 127.0.0.1:${port}
  balance leastconn
  option httpchk GET /readyz
${servers.join('\n')}
`,
  )
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
