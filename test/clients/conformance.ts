import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { releasesToTest, type Client, type Found, type Programs } from '../support/clients/client.ts'
import { logOf } from '../support/log.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { demoPackages, openWorkspace, requestV2, type Workspace } from '../support/workspace.ts'
import { assertPulls, blobsSent, digestsOf, layersOf, manifestStatuses } from './checks.ts'

/** The behavior in which clients differ, as docs/clients.md describes it. */
export type Traits = {
  readonly name: string
  readonly open: (programs: Programs, folder: string) => Promise<Client>
  /** Whether the client is installed from this system's Debian release, too. */
  readonly installed: boolean
  /** The message for a missing package. */
  readonly missingMessage: RegExp
  /** The message for a failed build. */
  readonly failedMessage: RegExp
  /** The reaction to an interrupted blob. */
  readonly afterBreak: (version: string) => 'requests the rest' | 'requests it again' | 'fails'
  /** Which layers a client reuses from other images: all common layers, or only a common prefix. */
  readonly reuses: 'layers' | 'first layers'
  /** The reaction to a retry response. */
  readonly whileBuilding: 'retries' | 'reports an error'
  /** Further tests. */
  readonly more?: (opened: Opened) => void
}

/** What additional tests can use. Call the functions only within a test. */
export type Opened = {
  readonly programs: Programs
  readonly client: () => Client
  readonly server: () => ServerProcess
  readonly folder: () => string
}

// In seconds: a short build and a short wait limit test the same behavior as long ones.
const [buildSeconds, maxWait] = [8, 3]
const skipLong = process.env['NIXERY_TEST_LONG_WAIT'] === '1' ? false : 'only with NIXERY_TEST_LONG_WAIT=1'
const largeBytes = 8_000_000
const slowOf = (suite: string) => `slow-${suite}`
const packages = `
  tool = run "tool-1.4" "mkdir -p $out/bin; echo x > $out/bin/tool";
  failing = run "failing" "echo last words; exit 3";
  large = run "large" "mkdir -p $out/bin; head -c ${largeBytes + 1_000_000} /dev/urandom > $out/bin/large";
  ${slowOf('system')} = run "slow-1" "sleep ${buildSeconds}; mkdir -p $out/bin; echo x > $out/bin/slow";
  ${slowOf('sid')} = run "slow-2" "sleep ${buildSeconds}; mkdir -p $out/bin; echo x > $out/bin/slow";
`

/** Tests the client of each Debian release: what all clients do, and the client's traits. */
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
      // Built before, so that clients get no retry response for them, even if the machine is busy.
      for (const name of ['tool--1', 'amd64/tool--1.4', 'failing', 'large']) {
        const status = async () => (await requestV2(small, `${name}/manifests/latest`)).response.status
        await until(async () => ![429, 503].includes(await status()), `${name} is built`)
      }
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
      await assertPulls(client, image)
      assert.ok((await digestsOf(server(), 'shell/hello')).includes(await client.digestOf(image)))
    })

    it('runs the pulled image', async (t) => {
      if (client.run === undefined) return t.skip(`${traits.name} runs nothing`)
      const { output } = await client.run(`${server().address}/shell/hello`, '/bin/hello')
      assert.match(output, /^Hello, world!$/m)
    })

    it('pulls an image by the digest of an index, and by that of a manifest', async () => {
      for (const digest of await digestsOf(server(), 'shell/hello'))
        await assertPulls(client, `${server().address}/shell/hello@${digest}`)
    })

    it(`fetches only the missing layers of a second image, and reuses common ${traits.reuses}`, async () => {
      const present = await layersOf(server(), 'shell/hello')
      const layers = await layersOf(server(), 'shell/cowsay')
      const since = (await logOf(server())).length
      await assertPulls(client, `${server().address}/amd64/shell/cowsay`)
      const fetched = blobsSent((await logOf(server())).slice(since)).filter(({ digest }) =>
        layers.includes(digest),
      )
      const differs = layers.findIndex((digest, index) => digest !== present[index])
      const missing =
        traits.reuses === 'layers'
          ? layers.filter((digest) => !present.includes(digest))
          : layers.slice(differs)
      assert.ok(missing.length < layers.length)
      assert.deepEqual(fetched.map(({ digest }) => digest).sort(), missing.sort())
    })

    it('pulls an image of another platform by its name', async () => {
      await assertPulls(client, `${server().address}/arm64/hello`)
    })

    it('pulls a version of a package', async () => {
      await assertPulls(client, `${small().address}/tool--1`)
      await assertPulls(client, `${small().address}/amd64/tool--1.4`)
    })

    it('reports a missing package', async () => {
      const { ok, output } = await client.pull(`${server().address}/shell/hallo`)
      assert.equal(ok, false)
      assert.match(output, traits.missingMessage)
    })

    it('reports a failed build', async () => {
      const { ok, output } = await client.pull(`${small().address}/failing`)
      assert.equal(ok, false)
      assert.match(output, traits.failedMessage)
    })

    it('requests an interrupted blob again, or the rest of it', async () => {
      const expected = traits.afterBreak(client.version)
      const since = (await logOf(small())).length
      const proxy = await startProxy(small().address, { cutFrom: largeBytes })
      try {
        const { ok, output } = await client.pull(`${proxy.address}/large`)
        assert.equal(ok, expected !== 'fails', output)
        if (!ok) await assertPulls(client, `${proxy.address}/large`)
        const sent = blobsSent((await logOf(small())).slice(since)).filter(({ path }) => path === proxy.cut())
        const statuses = sent.map(({ status }) => status)
        assert.deepEqual(statuses, expected === 'requests the rest' ? [200, 206] : [200, 200])
      } finally {
        await proxy.stop()
      }
    })

    it(`${traits.whileBuilding} when a build takes longer than NIXERY_MAX_WAIT`, async () => {
      const name = slowOf(programs.suite)
      const image = `${small().address}/${name}`
      const since = (await logOf(small())).length
      const { ok, output } = await client.pull(image)
      assert.equal(ok, traits.whileBuilding === 'retries', output)
      if (!ok) {
        assert.match(output, /still being built/)
        assert.match(output, new RegExp(`http://${small().address}/builds/`))
        while (!(await client.pull(image)).ok);
      }
      const lines = (await logOf(small())).slice(since)
      const [first] = manifestStatuses(lines, name)
      assert.ok(first === 429 || first === 503, `the build took less than ${maxWait} s`)
      const started = lines.filter(({ msg }) => msg === 'build started')
      assert.equal(started.length, 1)
    })

    it('pulls an image that takes a minute to build, with default settings', { skip: skipLong }, async () => {
      const set = 'minute = run "minute" "sleep 60; mkdir -p $out/bin; echo x > $out/bin/minute";'
      const withDefaults = await workspace().serve({
        NIXERY_PKGS_PATH: await workspace().packageSet(set),
        NIX_TIMEOUT: '120',
      })
      await assertPulls(client, `${withDefaults.address}/minute`)
      assert.equal(withDefaults.log.filter(({ msg }) => msg === 'build started').length, 1)
    })

    traits.more?.({ programs, client: () => client, server, folder: () => workspace().folder })
  })
}
