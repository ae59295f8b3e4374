import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import { failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let nixLog: NixLog
before(async () => {
  workspace = await openWorkspace()
  nixLog = await openNixLog()
})
after(async () => {
  await workspace.dispose()
  await nixLog.close()
})

const body = `
  good = run "good-1" "mkdir $out";
  throws = throw "not today";
  unfree = throw "Package ‘unfree-1.0’ in x.nix:1 has an unfree license (‘unfree’), refusing to evaluate.";
  aborts = abort "for good";
  fake = { type = "derivation"; name = "x"; outPath = "/etc"; drvPath = "/etc/passwd"; };
  text = "text";
  secret = run "secret-1" "mkdir $out";
  passing = import (run "passing-1" "exit 1");
`
const permanent = ['throws', 'unfree/good', 'aborts', 'fake', 'text', 'none', 'secret']

const failures = async (server: ServerProcess, names: readonly string[]) => {
  const messages: string[] = []
  for (const name of names) {
    const { status, message } = await failureOf(server, name)
    messages.push(`${status} ${message}`)
  }
  return messages
}

describe('a name that does not exist', () => {
  it('starts no Nix process for repeated requests, or after a restart if nothing can have changed', async () => {
    const environment = {
      NIXERY_PKGS_PATH: await workspace.packageSet(body),
      NIXERY_DATA: join(workspace.folder, 'data'),
      NIXERY_DENY: 'secret',
      PATH: `${nixLog.folder}:${process.env['PATH'] ?? ''}`,
    }
    const server = await workspace.serve(environment)
    const first = await failures(server, [...permanent, 'passing'])
    assert.deepEqual(
      first.map((text) => text.slice(0, 3)),
      ['422', '403', '422', '422', '422', '404', '403', '422'],
    )
    assert.match(first[0] ?? '', /not today/)
    const evaluations = async () => (await nixLog.started()).filter((line) => line.includes('--eval'))
    assert.notDeepEqual(await evaluations(), [])

    assert.deepEqual(await failures(server, permanent), first.slice(0, -1))
    // Known results of single names are used for images of several, too.
    assert.match((await failures(server, ['throws/fake/unfree']))[0] ?? '', /^403/)
    assert.deepEqual(await nixLog.started(), [])

    await server.stop()
    const restarted = await workspace.serve(environment)
    assert.deepEqual(await failures(restarted, permanent), first.slice(0, -1))
    assert.deepEqual(await evaluations(), [])
    assert.deepEqual(await failures(restarted, ['passing']), first.slice(-1))
    assert.notDeepEqual(await evaluations(), [])
  })
})
