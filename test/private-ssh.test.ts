import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { runNixery } from './support/command.ts'
import { openRepository } from './support/repository.ts'
import { openSshd, type Sshd } from './support/sshd.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

type Finding = { about: string; state: string; message: string; fix?: string }

const skip = existsSync('/usr/sbin/sshd') ? false : 'there is no sshd: apt-get install openssh-server'

describe('a private repository over ssh', { skip }, () => {
  let workspace: Workspace
  let sshd: Sshd
  let folder: string
  let url: string
  before(async () => {
    workspace = await openWorkspace()
    sshd = await openSshd(join(workspace.folder, 'ssh'))
    const repository = await openRepository(workspace.folder)
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    await repository.commit((into) => cp(join(set, 'default.nix'), join(into, 'default.nix')))
    folder = repository.folder
    url = sshd.url(folder)
  })
  after(async () => {
    await sshd?.close()
    await workspace?.dispose()
  })

  it('is served with a user key, and only from a host with the known key', async () => {
    const server = await workspace.serve({ NIXERY_PKGS_REPO: url, GIT_SSH_COMMAND: sshd.command })
    const { response, text } = await requestV2(server, 'hello/manifests/latest')
    assert.equal(response.status, 200, text)
    const other = await workspace.serve({ NIXERY_PKGS_REPO: url, GIT_SSH_COMMAND: sshd.wrongHostCommand })
    const refused = await requestV2(other, 'hello/manifests/latest')
    assert.equal(refused.response.status, 503, refused.text)
    assert.match(refused.text, /Host key verification failed/)
  })

  it('is checked by nixery doctor, which reports problems with keys', async () => {
    const check = async (command: string) => {
      const env = { NIXERY_PKGS_PATH: '', NIXERY_PKGS_REPO: url, GIT_SSH_COMMAND: command }
      const run = await runNixery(join(workspace.folder, 'data'), '', ['doctor', '--json'], { env })
      const findings = JSON.parse(run.stdout) as Finding[]
      return findings.find(({ about, message }) => about === 'packages' && message.includes(folder))
    }
    assert.equal((await check(sshd.command))?.state, 'ok')
    const wrong = await check(sshd.wrongHostCommand)
    assert.match(wrong?.message ?? '', /Host key verification failed/)
    assert.match(wrong?.fix ?? '', /ssh-keyscan/)
    const unknownUser = await check(sshd.wrongUserCommand)
    assert.match(unknownUser?.message ?? '', /Permission denied \(publickey\)/)
    assert.match(unknownUser?.fix ?? '', /docs\/running\.md/)
  })
})
