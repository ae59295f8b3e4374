import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { releasesToTest, type Client, type Found, type Programs } from '../support/clients/client.ts'
import { startProxy } from '../support/proxy.ts'
import { demoPackages, openWorkspace, type Workspace } from '../support/workspace.ts'
import { blobsSent, digestsOf, layersOf, manifestStatuses, pulled } from './seen.ts'

/** What a client does of what not all of them do; docs/clients.md tells it. */
export type Traits = {
  readonly name: string
  readonly open: (programs: Programs, folder: string) => Promise<Client>
  /** Whether it is in the system's own release of Debian too. */
  readonly installed: boolean
  /** What it prints of a package that is not there. */
  readonly saysOfMissing: RegExp
  /** What it prints of a build that failed. */
  readonly saysOfFailed: RegExp
  /** What it does when a blob breaks off. */
  readonly afterBreak: (version: string) => 'asks for the rest' | 'asks for all of it' | 'fails'
  /** What it has of an image when it has another: the layers of both, or those with which both begin. */
  readonly reuses: 'layers' | 'first layers'
  /** What it does when a build takes longer than the server lets it wait. */
  readonly whileBuilding: 'comes back' | 'tells its user'
  /** Further tests. */
  readonly more?: (opened: Opened) => void
}

/** What a test has at hand; to be called within one. */
export type Opened = {
  readonly programs: Programs
  readonly client: () => Client
  readonly server: () => ServerProcess
  readonly folder: () => string
}

// Seconds. Less than people wait for shows the same of a server that waits less.
const [buildSeconds, maxWait] = [8, 3]
const forLong = process.env['NIXERY_TEST_LONG_WAIT'] === '1' ? false : 'only with NIXERY_TEST_LONG_WAIT=1'
const largeBytes = 8_000_000
const slowOf = (suite: string) => `slow-${suite}`
const packages = `
  tool = run "tool-1.4" "mkdir -p $out/bin; echo x > $out/bin/tool";
  failing = run "failing" "echo last words; exit 3";
  large = run "large" "mkdir -p $out/bin; head -c ${largeBytes + 1_000_000} /dev/urandom > $out/bin/large";
  ${slowOf('system')} = run "slow-1" "sleep ${buildSeconds}; mkdir -p $out/bin; echo x > $out/bin/slow";
  ${slowOf('sid')} = run "slow-2" "sleep ${buildSeconds}; mkdir -p $out/bin; echo x > $out/bin/slow";
`

/** Has the client of each release of Debian do what is asked of all, and compares the rest with its traits. */
export function describeClient(traits: Traits, releases: readonly Found[]): void {
  describe(traits.name, () => {
    let workspace: Workspace
    let server: ServerProcess
    let small: ServerProcess
    before(async () => {
      workspace = await openWorkspace()
      server = await workspace.serve({
        NIXERY_PKGS_PATH: await demoPackages(),
        NIXERY_PLATFORMS: 'amd64,arm64',
        NIX_TIMEOUT: '600',
      })
      small = await workspace.serve({
        NIXERY_PKGS_PATH: await workspace.packageSet(packages),
        NIXERY_MAX_WAIT: String(maxWait),
        NIX_TIMEOUT: '120',
      })
    })
    after(() => workspace.dispose())

    for (const programs of releasesToTest(releases, traits.installed)) {
      const title = programs.suite === 'system' ? 'of this system' : `of ${programs.suite}`
      if ('missing' in programs) describe(title, { skip: programs.missing }, () => {})
      else
        describeRelease(title, traits, programs, {
          server: () => server,
          small: () => small,
          workspace: () => workspace,
        })
    }
  })
}

type Servers = {
  readonly server: () => ServerProcess
  readonly small: () => ServerProcess
  readonly workspace: () => Workspace
}

function describeRelease(title: string, traits: Traits, programs: Programs, servers: Servers): void {
  const { server, small, workspace } = servers
  describe(title, () => {
    let client: Client
    before(async () => {
      client = await traits.open(programs, join(workspace().folder, programs.suite))
    })
    after(() => client.dispose())

    it('pulls an image by name, and identifies it by a digest of the server', async (t) => {
      t.diagnostic(client.version)
      const image = `${server().address}/shell/hello`
      await pulled(client, image)
      assert.ok((await digestsOf(server(), 'shell/hello')).includes(await client.digestOf(image)))
    })

    it('runs the pulled image', async (t) => {
      if (client.run === undefined) return t.skip(`${traits.name} runs nothing`)
      const { output } = await client.run(`${server().address}/shell/hello`, '/bin/hello')
      assert.match(output, /^Hello, world!$/m)
    })

    it('pulls an image by the digest of an index, and by that of a manifest', async () => {
      for (const digest of await digestsOf(server(), 'shell/hello'))
        await pulled(client, `${server().address}/shell/hello@${digest}`)
    })

    it(`fetches of a second image only what it lacks, knowing it by its ${traits.reuses}`, async () => {
      const had = await layersOf(server(), 'shell/hello')
      const layers = await layersOf(server(), 'shell/cowsay')
      const since = server().log.length
      await pulled(client, `${server().address}/amd64/shell/cowsay`)
      const fetched = blobsSent(server(), since).filter(({ digest }) => layers.includes(digest))
      const differs = layers.findIndex((digest, index) => digest !== had[index])
      const lacking =
        traits.reuses === 'layers' ? layers.filter((digest) => !had.includes(digest)) : layers.slice(differs)
      assert.ok(lacking.length < layers.length)
      assert.deepEqual(fetched.map(({ digest }) => digest).sort(), lacking.sort())
    })

    it('pulls an image of another platform by its name', async () => {
      await pulled(client, `${server().address}/arm64/hello`)
    })

    it('pulls a version of a package', async () => {
      await pulled(client, `${small().address}/tool--1`)
      await pulled(client, `${small().address}/amd64/tool--1.4`)
    })

    it('reports a missing package', async () => {
      const { ok, output } = await client.pull(`${server().address}/shell/hallo`)
      assert.equal(ok, false)
      assert.match(output, traits.saysOfMissing)
    })

    it('shows a failed build', async () => {
      const { ok, output } = await client.pull(`${small().address}/failing`)
      assert.equal(ok, false)
      assert.match(output, traits.saysOfFailed)
    })

    it('requests an interrupted blob again, or the rest of it', async () => {
      const expected = traits.afterBreak(client.version)
      const since = small().log.length
      const proxy = await startProxy(small().address, { cutFrom: largeBytes })
      try {
        const { ok, output } = await client.pull(`${proxy.address}/large`)
        assert.equal(ok, expected !== 'fails', output)
        if (!ok) await pulled(client, `${proxy.address}/large`)
        const sent = blobsSent(small(), since).filter(({ path }) => path === proxy.cut())
        const statuses = sent.map(({ status }) => status)
        assert.deepEqual(statuses, expected === 'asks for the rest' ? [200, 206] : [200, 200])
      } finally {
        await proxy.stop()
      }
    })

    it(`${traits.whileBuilding} when a build takes longer than it may wait`, async () => {
      const name = slowOf(programs.suite)
      const image = `${small().address}/${name}`
      const since = small().log.length
      const { ok, output } = await client.pull(image)
      assert.equal(ok, traits.whileBuilding === 'comes back', output)
      if (!ok) {
        assert.match(output, /still being built/)
        assert.match(output, new RegExp(`http://${small().address}/builds/`))
        while (!(await client.pull(image)).ok);
      }
      const [first] = manifestStatuses(small(), name)
      assert.ok(first === 429 || first === 503, `the build was over within ${maxWait} s`)
      const started = small()
        .log.slice(since)
        .filter(({ msg }) => msg === 'build started')
      assert.equal(started.length, 1)
    })

    it('pulls an image that takes a minute to build, with default settings', { skip: forLong }, async () => {
      const set = 'minute = run "minute" "sleep 60; mkdir -p $out/bin; echo x > $out/bin/minute";'
      const patient = await workspace().serve({
        NIXERY_PKGS_PATH: await workspace().packageSet(set),
        NIX_TIMEOUT: '120',
      })
      await pulled(client, `${patient.address}/minute`)
      assert.equal(patient.log.filter(({ msg }) => msg === 'build started').length, 1)
    })

    traits.more?.({ programs, client: () => client, server, folder: () => workspace().folder })
  })
}
