import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { ServerProcess } from '../scripts/server.ts'
import { makeCertificate } from './support/certificates.ts'
import { documents } from './support/documents.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

// Runs the settings, rules and commands of docs/access.md, with other names of hosts, images and folders. Skopeo replaces
// programs that prompt or need a daemon, and reads the same files.

const document = documents().get('docs/access.md') ?? ''

/** The blocks of a language below a heading, up to the next one. */
function blocks(heading: string, language: string): string[] {
  const [, section = ''] = new RegExp(`\\n#+ ${heading}\\n([^]*?)(?=\\n##|$)`).exec(document) ?? []
  return [...section.matchAll(new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\``, 'gm'))].map(
    ([, indent = '', code = '']) => code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  )
}
const block = (heading: string, language: string): string => {
  const [first] = blocks(heading, language)
  assert.ok(first !== undefined, `${heading} has a block of ${language}`)
  return first
}
/** The script of the steps in a YAML block: the lines after `line`. */
const stepsOf = (yaml: string, line: RegExp): string => yaml.slice(yaml.search(line)).replace(line, '')

describe('docs/access.md', () => {
  let workspace: Workspace
  let set: string
  let pair: Awaited<ReturnType<typeof generateKeyPair>>
  const inFolder = (name: string) => join(workspace.folder, name)

  /** The settings of a block, with this test's files. */
  const settings = (text: string): Record<string, string> =>
    Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), adapt(line.slice(line.indexOf('=') + 1))]),
    )
  const adapt = (text: string, server?: ServerProcess): string =>
    text
      .replaceAll('/etc/nixery', workspace.folder)
      .replaceAll('registry.example', server?.address ?? 'registry.example')
      .replaceAll('shell/git ci/nodejs', 'git')
      .replaceAll('shell/git', 'git')
      .replaceAll('"', server ? '"' : '')
  /** Runs a script of the document, with the replacement programs first in PATH. */
  const run = (script: string, server: ServerProcess, env: Record<string, string> = {}, input = '') =>
    execa('sh', ['-euc', adapt(script, server)], {
      cwd: workspace.folder,
      input,
      env: {
        ...env,
        REGISTRY_AUTH_FILE: inFolder('auth.json'),
        PATH: `${inFolder('bin')}:${process.env['PATH'] ?? ''}`,
      },
    })

  before(async () => {
    workspace = await openWorkspace()
    set = await workspace.packageSet('git = script "git" "echo git"; other = script "other" "echo other";')
    await makeCertificate(workspace.folder, 'tls')
    await execa('sh', ['-c', `cp ${inFolder('tls')}/tls.* ${workspace.folder}`])
    pair = await generateKeyPair('RS256')
    await writeFile(inFolder('keys.json'), JSON.stringify({ keys: [await exportJWK(pair.publicKey)] }))
    await mkdir(inFolder('bin'))
    const programs = {
      htpasswd: 'echo right | exec /usr/bin/htpasswd -i "$@"',
      skopeo: 'command=$1; shift; exec /usr/bin/skopeo "$command" --src-tls-verify=false "$@"',
      docker: `case $1 in
        login) shift; exec /usr/bin/skopeo login --tls-verify=false "$@";;
        pull) exec /usr/bin/skopeo copy --src-tls-verify=false "docker://$2" "dir:$(mktemp -d -p ${workspace.folder})";;
        esac`,
      podman: `case $1 in
        login) echo right | exec docker login --username alice --password-stdin "$2";;
        pull) exec docker "$@";;
        esac`,
    }
    for (const [name, text] of Object.entries(programs)) {
      await writeFile(inFolder(`bin/${name}`), `#!/bin/sh\n${text}\n`)
      await chmod(inFolder(`bin/${name}`), 0o755)
    }
  })
  after(() => workspace.dispose())

  it('sets up a company with htpasswd', async () => {
    const heading = 'A company with htpasswd'
    const [users = '', client = ''] = blocks(heading, 'bash')
    await execa('sh', ['-euc', adapt(users)], {
      env: { PATH: `${inFolder('bin')}:${process.env['PATH'] ?? ''}` },
    })
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_HOST: '127.0.0.1',
      ...settings(block(heading, 'ini')),
    })
    await run(client, server)
    await server.stop()
  })

  describe('sets up tokens', () => {
    let server: ServerProcess
    let github: Server
    const tokenOf = (iss: string, claims: Record<string, unknown>) =>
      new SignJWT({ iss, aud: 'registry.example', ...claims })
        .setProtectedHeader({ alg: 'RS256' })
        .setExpirationTime('5m')
        .sign(pair.privateKey)

    before(async () => {
      const tables = ['GitHub Actions', 'GitLab', 'Kubernetes'].map((heading) => block(heading, 'toml'))
      const policy = tables
        .join('\n')
        .replaceAll('/etc/nixery', workspace.folder)
        // Uses local keys instead of those of the two services.
        .replaceAll(/^(url = "https:\/\/(?:token|gitlab).*)$/gm, `$1\njwks = "${inFolder('keys.json')}"`)
      await writeFile(inFolder('policy.toml'), policy)
      server = await workspace.serve({
        NIXERY_PKGS_PATH: set,
        NIXERY_HOST: '127.0.0.1',
        ...settings(block('Tokens of CI services and Kubernetes', 'ini')),
      })
      github = createServer((request, response) => {
        assert.equal(request.headers.authorization, 'Bearer of-the-job')
        assert.equal(new URL(request.url ?? '', 'http://a').searchParams.get('audience'), server.address)
        void tokenOf('https://token.actions.githubusercontent.com', {
          sub: 'repo:your-org/app:ref:refs/heads/main',
          repository_owner: 'your-org',
        }).then((value) => response.end(JSON.stringify({ value })))
      })
      await new Promise<void>((resolve) => github.listen(0, '127.0.0.1', resolve))
    })
    after(() => github.close())

    it('of GitHub Actions', async () => {
      const { port } = github.address() as AddressInfo
      await run(stepsOf(block('GitHub Actions', 'yaml'), /^ *- run: \|$/m), server, {
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of-the-job',
        ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/?v=1`,
      })
    })

    it('of GitLab', async () => {
      const token = await tokenOf('https://gitlab.example', {
        sub: 'project_path:your-group/app:ref_type:branch:ref:main',
        namespace_path: 'your-group',
      })
      const script = stepsOf(block('GitLab', 'yaml'), /^ *script:$/m).replaceAll(/^ *- /gm, '')
      await run(script, server, { NIXERY_TOKEN: token })
      const foreign = await tokenOf('https://gitlab.example', { sub: 'x', namespace_path: 'others' })
      await assert.rejects(run(script, server, { NIXERY_TOKEN: foreign }), /denied/)
    })

    it('of Kubernetes', async () => {
      const token = await tokenOf('https://kubernetes.default.svc.cluster.local', {
        sub: 'system:serviceaccount:your-namespace:app',
      })
      const request = {
        apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
        kind: 'CredentialProviderRequest',
        image: `${server.address}/git`,
        serviceAccountToken: token,
      }
      const { stdout } = await run(block('Kubernetes', 'bash'), server, {}, JSON.stringify(request))
      const { kind, auth } = JSON.parse(stdout) as {
        kind: string
        auth: Record<string, { username: string; password: string }>
      }
      assert.equal(kind, 'CredentialProviderResponse')
      const { username = '', password = '' } = auth[server.address] ?? {}
      await run('skopeo copy --src-creds "$CREDS" docker://registry.example/shell/git dir:k8s', server, {
        CREDS: `${username}:${password}`,
      })
    })
  })

  it('sets up public pulls of existing images, and builds for members', async () => {
    const heading = 'Public pulls of existing images, builds for members'
    await writeFile(inFolder('policy.toml'), block(heading, 'toml'))
    // The server's URL is not known before it listens.
    const { NIXERY_PUBLIC_URL: url, ...others } = settings(block(heading, 'ini'))
    assert.match(url ?? '', /^https:/)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, ...others })
    const copy = (name: string, creds = '--src-no-creds') =>
      run(`skopeo copy ${creds} docker://registry.example/${name} dir:${name}-${creds.length}`, server)
    const isWarm = async () => (await copy('git').catch(() => undefined)) !== undefined
    await until(isWarm, 'the image in NIXERY_WARM can be pulled')
    await assert.rejects(copy('other'), /not ready here, and you may not build|denied/)
    await copy('other', '--src-creds alice:right')
    await copy('other')
    assert.match(await readFile(inFolder('users'), 'utf8'), /^alice:\$2y\$/)
  })
})
