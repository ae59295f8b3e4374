import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { freePort } from './ports.ts'
import { until } from './until.ts'

export type Nginx = {
  /** `127.0.0.1:port`. */
  readonly address: string
  readonly stop: () => Promise<void>
}

/**
 * Starts nginx on a free port of 127.0.0.1, and waits until it responds.
 * @param folder for its files; it is created
 * @param serverBlock the `server { … }` of its configuration, which must listen on `port`
 */
export async function startNginx(
  folder: string,
  serverBlock: (port: number) => string | Promise<string>,
): Promise<Nginx> {
  const port = await freePort()
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  await mkdir(folder)
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; user root; pid ${folder}/pid; events {}
    http {
      access_log off;
      ${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n')}
      ${await serverBlock(port)}
    }`,
  )
  const nginx = execa('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'], {
    env: { PATH: `${process.env['PATH']}:/usr/sbin` },
    reject: false,
    stdin: 'ignore',
    forceKillAfterDelay: 60_000,
  })
  const address = `127.0.0.1:${port}`
  const responds = () =>
    fetch(`http://${address}/`).then(
      (response) => response.arrayBuffer().then(() => true),
      () => false,
    )
  const ended = nginx.then(({ stderr }) => assert.fail(`nginx ended: ${stderr}`))
  ended.catch(() => {}) // `stop` ends nginx, too
  await Promise.race([until(responds, 'nginx responds'), ended])
  return {
    address,
    async stop() {
      nginx.kill()
      await nginx
    },
  }
}
