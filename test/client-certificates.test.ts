import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import type { Outcome } from '../src/access/credentials.ts'
import { anonymous } from '../src/access/identity.ts'
import { hasCode } from '../src/errors.ts'
import { identify } from '../src/http/guard.ts'
import { textReply } from '../src/http/reply.ts'
import { IncomingRequest } from '../src/http/request.ts'
import { listen, type Listening } from '../src/http/server.ts'
import { readTls } from '../src/http/tls.ts'
import { makeAuthority, makeCertificate, type Authority } from './support/certificates.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

describe('client certificates', () => {
  let workspace: Workspace
  let authority: Authority
  let otherAuthority: Authority
  let server: Listening

  before(async () => {
    workspace = await openWorkspace()
    authority = await makeAuthority(workspace.folder, 'authority')
    otherAuthority = await makeAuthority(workspace.folder, 'other-authority')
    const own = await makeCertificate(workspace.folder, 'server')
    const bob: Outcome = { ...anonymous, name: 'bob', how: 'password' }
    const guard = { authenticate: () => bob, challenge: () => 'Basic realm="nixery"' }
    server = await listen(
      {
        handle(incoming, outgoing) {
          const identity = async () => identify(guard, new IncomingRequest(incoming, outgoing))
          identity().then(
            ({ name, groups, how }) => outgoing.end(JSON.stringify([name, groups, how])),
            (error: unknown) => {
              assert.ok(hasCode(error, 'UNAUTHENTICATED'))
              outgoing.end(`refused: ${(error.cause as Error).message}`)
            },
          )
        },
        refuse: () => textReply(400, 'text/plain', 'refused'),
      },
      { host: '127.0.0.1', port: 0, tls: await readTls({ ...own, clientCa: authority.cert }) },
    )
  })
  after(async () => {
    await server?.close(1)
    await workspace?.dispose()
  })

  const respond = async (pair?: { cert: string; key: string }, headers = {}) => {
    const files = pair && { cert: await readFile(pair.cert), key: await readFile(pair.key) }
    const options = { host: '127.0.0.1', port: server.port, rejectUnauthorized: false, agent: false, headers }
    const sent = request({ ...options, ...files })
    const response = new Promise<string>((resolve, reject) => {
      sent.on('response', (incoming) => void text(incoming).then(resolve, reject)).on('error', reject)
    })
    sent.end()
    return response
  }

  it('identify the user and its groups; clients without one are anonymous', async () => {
    const alice = await authority.sign('alice', '/O=dev/O=ops/CN=alice')
    assert.equal(await respond(alice), '["alice",["dev","ops"],"certificate"]')
    assert.equal(await respond(), '["",[],"anonymous"]')
    assert.equal(await respond(alice, { authorization: 'Basic Ym9iOmI=' }), '["bob",[],"password"]')
  })

  it('are refused if they are from another authority, without a name, or self-signed', async () => {
    const foreign = await otherAuthority.sign('mallory', '/CN=alice')
    assert.match(await respond(foreign), /^refused: the client certificate is not valid/)
    assert.match(await respond(await makeCertificate(workspace.folder, 'alice')), /^refused: .*not valid/)
    assert.match(await respond(await authority.sign('nobody', '/O=dev')), /^refused: .*no common name/)
    assert.match(await respond(await authority.sign('two', '/CN=alice/CN=root')), /^refused: .*or several/)
  })

  it('are refused at startup if the authorities are not certificates', async () => {
    const own = await makeCertificate(workspace.folder, 'other')
    await assert.rejects(
      readTls({ ...own, clientCa: own.key }),
      /NIXERY_TLS_CLIENT_CA: .* no certificate in PEM/,
    )
  })
})
