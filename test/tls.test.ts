import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { hasCode } from '../src/errors.ts'
import { readTls, watchTls } from '../src/http/tls.ts'
import { makeCertificate, type Certificate } from './support/certificates.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let one: Certificate
let two: Certificate
before(async () => {
  workspace = await openWorkspace()
  one = await makeCertificate(workspace.folder, 'one')
  two = await makeCertificate(workspace.folder, 'two')
})
after(() => workspace.dispose())

describe('TLS files', () => {
  const assertRefused = (files: { cert: string; key: string }, message: RegExp) =>
    assert.rejects(readTls(files), (error) => hasCode(error, 'CONFIG_INVALID') && message.test(error.message))

  it('are refused if one is missing, is not PEM, or they do not match', async () => {
    const text = join(workspace.folder, 'text')
    await writeFile(text, 'hello')
    await readTls(one)
    await assertRefused(
      { ...one, cert: '/no/such/file' },
      /NIXERY_TLS_CERT: \/no\/such\/file cannot be read: ENOENT/,
    )
    await assertRefused({ ...one, key: '/no/such/file' }, /NIXERY_TLS_KEY: .* cannot be read/)
    await assertRefused({ ...one, cert: text }, /NIXERY_TLS_CERT: .* has no certificate/)
    await assertRefused({ ...one, key: text }, /NIXERY_TLS_KEY: .* has no private key/)
    await assertRefused({ cert: one.cert, key: two.key }, /does not match the certificate/)
    const encrypted = join(workspace.folder, 'encrypted.key')
    await execa('openssl', ['ec', '-aes256', '-passout', 'pass:secret', '-in', one.key, '-out', encrypted])
    await assertRefused({ cert: one.cert, key: encrypted }, /NIXERY_TLS_KEY: .* without a passphrase/)
  })

  it('are reloaded when links change, and an invalid pair is not used', async () => {
    // Kubernetes mounts a link to a folder, and replaces the link atomically.
    const current = join(workspace.folder, 'current')
    const link = async (folder: string) => {
      const fresh = join(workspace.folder, 'fresh')
      await symlink(folder, fresh)
      await rename(fresh, current)
    }
    await link(one.folder)
    const files = { cert: join(current, 'tls.crt'), key: join(current, 'tls.key') }
    const used: string[] = []
    const warnings: string[] = []
    const watch = watchTls(files, {
      pair: await readTls(files),
      every: 3_600_000,
      use: ({ cert }) => used.push(new X509Certificate(cert).subject),
      note: () => {},
      warn: (line) => warnings.push(line),
    })
    try {
      await watch.look()
      assert.deepEqual(used, [])
      await link(two.folder)
      await watch.look()
      await watch.look()
      assert.deepEqual(used, ['CN=two'])
      const half = join(workspace.folder, 'half')
      await mkdir(half)
      await copyFile(one.cert, join(half, 'tls.crt'))
      await copyFile(two.key, join(half, 'tls.key'))
      await link(half)
      await watch.look()
      await watch.look()
      assert.deepEqual(used, ['CN=two'])
      assert.equal(warnings.length, 1)
      await copyFile(one.key, join(half, 'tls.key'))
      await watch.look()
      assert.deepEqual(used, ['CN=two', 'CN=one'])
      await rm(half, { recursive: true })
      await watch.look()
      assert.equal(warnings.length, 2)
      assert.deepEqual(used, ['CN=two', 'CN=one'])
    } finally {
      watch.stop()
    }
  })
})

describe('a server with TLS', () => {
  let server: ServerProcess
  let files: { cert: string; key: string }
  before(async () => {
    const folder = join(workspace.folder, 'served')
    await mkdir(folder)
    files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
    await put(one)
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_TLS_CERT: files.cert,
      NIXERY_TLS_KEY: files.key,
    })
  })
  const put = async (certificate: Certificate) => {
    await copyFile(certificate.key, files.key)
    await copyFile(certificate.cert, files.cert)
  }
  /** The subject of the server's certificate and the TLS version of a new connection. */
  const handshake = (options: object = {}) =>
    new Promise<{ name: string; version: string | null }>((resolve, reject) => {
      const socket = connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
      socket.once('secureConnect', () => {
        const name = String(socket.getPeerX509Certificate()?.subject)
        resolve({ name, version: socket.getProtocol() })
        socket.destroy()
      })
      socket.once('error', reject)
    })
  const pull = async (authority: Certificate, to: string) => {
    const authorities = join(workspace.folder, `trusted-for-${to}`)
    await mkdir(authorities)
    await copyFile(authority.cert, join(authorities, 'ca.crt'))
    const images = [`docker://${server.address}/hello:latest`, `dir:${join(workspace.folder, to)}`]
    const args = ['copy', '--insecure-policy', '--src-cert-dir', authorities, ...images]
    return execa('skopeo', args, { reject: false, all: true })
  }

  it('serves clients that trust its certificate, and no others', async () => {
    const trusting = await pull(one, 'trusting')
    assert.equal(trusting.exitCode, 0, trusting.all)
    const other = await pull(two, 'other')
    assert.notEqual(other.exitCode, 0)
    assert.match(other.all, /certificate/)
  })

  it('supports nothing older than TLS 1.2', async () => {
    assert.equal((await handshake()).version, 'TLSv1.3')
    assert.equal((await handshake({ maxVersion: 'TLSv1.2' })).version, 'TLSv1.2')
    await assert.rejects(handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }))
  })

  it('uses a new certificate without a restart, and keeps the old one if the new one is invalid', async () => {
    assert.equal((await handshake()).name, 'CN=one')
    await put(two)
    while ((await handshake()).name !== 'CN=two') await sleep(200)
    const renewed = await pull(two, 'renewed')
    assert.equal(renewed.exitCode, 0, renewed.all)

    await writeFile(files.cert, 'not a certificate')
    process.kill(server.pid, 'SIGHUP')
    const hasWarned = () =>
      server.log.some(({ level, msg }) => level === 'warn' && msg.includes('the old one stays'))
    while (!hasWarned()) await sleep(50)
    assert.equal((await handshake()).name, 'CN=two')
    await writeFile(files.cert, await readFile(two.cert))
  })

  it('does not start with invalid files, and does not make the demo packages first', async () => {
    const data = join(workspace.folder, 'invalid')
    const starting = workspace.serve({
      NIXERY_DATA: data,
      NIXERY_TLS_CERT: one.cert,
      NIXERY_TLS_KEY: two.key,
    })
    await assert.rejects(starting, /does not match the certificate/)
    await assert.rejects(readdir(data), { code: 'ENOENT' })
  })
})
