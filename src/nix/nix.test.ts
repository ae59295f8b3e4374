import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { existsSync } from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { hasCode } from '../errors.ts'
import { describeNix } from './conformance.ts'
import { environmentOfNix, openBench, system, wantedOf, type Bench } from './testing.ts'
import { until } from '../../test/support/until.ts'

describeNix('the Nix of this machine')

describe('if Nix cannot work as usual', () => {
  const environment = { ...process.env }
  let bench: Bench
  before(async () => {
    bench = await openBench()
  })
  afterEach(() => {
    process.env = { ...environment }
  })
  after(() => bench.close())

  it('reports that the store cannot be used', async () => {
    const set = await bench.set('hello = run "hello-2.12" "echo > $out";')
    const [hello] = (await bench.lookUp(set, 'hello')).flatMap(wantedOf)
    assert.ok(hello)
    for (const [name, value] of [
      ['NIX_REMOTE', `unix://${bench.folder}/nobody-listens`],
      ['NIX_STATE_DIR', '/proc/nowhere'],
    ] as const) {
      process.env[name] = value
      const nix = bench.limited({})
      const unavailable = (error: unknown) => hasCode(error, 'NIX_UNAVAILABLE')
      const lookUp = { set: { folder: set }, system, attributes: [['hello']] }
      await assert.rejects(nix.evaluate(lookUp, {}), unavailable)
      await assert.rejects(
        nix.withRealised([hello], {}, async () => 'used'),
        unavailable,
      )
      await assert.rejects(nix.closureFacts([hello.outputPath], {}), unavailable)
      process.env = { ...environment }
    }
  })

  it('reports that Nix is not installed', async () => {
    process.env['PATH'] = bench.folder
    const unavailable = (error: unknown) => hasCode(error, 'NIX_UNAVAILABLE')
    await assert.rejects(bench.limited({}).version(), unavailable)
    await assert.rejects(
      bench.limited({}).evaluate({ set: { folder: '/' }, system: '', attributes: [] }, {}),
      unavailable,
    )
  })

  it('reports that roots cannot be created', async () => {
    const wanted = await bench.packages('hello = run "hello-2.12" "echo > $out";', 'hello')
    await writeFile(join(bench.folder, 'file'), '')
    const nix = bench.limited({ rootsDirectory: join(bench.folder, 'file', 'roots') })
    await assert.rejects(
      nix.withRealised(wanted, {}, async () => 'used'),
      (error) => hasCode(error, 'STORE_UNAVAILABLE'),
    )
  })

  it('works through a daemon', async () => {
    const socket = join(await mkdtemp(join(tmpdir(), 'nix-')), 'socket')
    const env = { ...(await environmentOfNix()), NIX_DAEMON_SOCKET_PATH: socket }
    const daemon = execa('nix-daemon', { env, reject: false, stdio: 'ignore' })
    try {
      await until(() => existsSync(socket), 'the daemon listens')
      process.env['NIX_REMOTE'] = `unix://${socket}`
      const notes: string[] = []
      const nix = bench.limited({ evaluator: 'warm', note: (line) => notes.push(line) })
      const set = await bench.set(`
        hello = run "hello-2.12" "echo hello > $out";
        failing = run "failing-1" "echo last words >&2; exit 3";
        slow = run "slow-1" "/bin/sleep 60";
      `)
      const attributes = [['hello'], ['failing'], ['slow']]
      const looked = await nix.evaluate({ set: { folder: set }, system, attributes }, {})
      assert.equal(nix.evaluators().warm, 1)
      const [hello, failing, slow] = looked.flatMap(wantedOf)
      assert.ok(hello && failing && slow)
      const text = await nix.withRealised([hello], {}, async () => {
        const facts = await nix.closureFacts([hello.outputPath], {})
        assert.equal(facts.length, 1)
        const removal = await execa('nix-store', ['--delete', hello.outputPath], { reject: false })
        assert.match(removal.stderr, /still alive/)
        return readFile(hello.outputPath, 'utf8')
      })
      assert.equal(text, 'hello\n')
      const use = async () => 'used'
      await assert.rejects(nix.withRealised([failing], {}, use), /last words$/)
      const timed = bench.limited({ builderTimeout: 1 }).withRealised([slow], {}, use)
      await assert.rejects(timed, (error) => hasCode(error, 'BUILD_TIMEOUT'))
      assert.ok(
        notes.every((note) => note.includes('binary cache')),
        notes.join(),
      )
    } finally {
      daemon.kill()
      await daemon
      await rm(join(socket, '..'), { recursive: true })
    }
  })

  it('retries once if Nix has killed a builder', async () => {
    // Outside of a sandbox, the two attempts can communicate, and a builder can be killed by a signal.
    process.env['NIX_CONFIG'] = 'sandbox = false'
    const nix = bench.limited({})
    const mark = join(bench.folder, 'tried')
    const wanted = await bench.packages(
      `killed = run "killed-1" "if [ -e ${mark} ]; then echo > $out; else echo > ${mark}; kill -9 $$; fi";
      dying = run "dying-1" "echo x >> ${mark}; kill -9 $$";`,
      'killed',
      'dying',
    )
    const [killed, dying] = wanted
    assert.ok(killed && dying)
    assert.equal(await nix.withRealised([killed], {}, async () => 'used'), 'used')
    await assert.rejects(
      nix.withRealised([dying], {}, async () => 'used'),
      (error) => hasCode(error, 'BUILD_FAILED'),
    )
    assert.equal(await readFile(mark, 'utf8'), '\nx\nx\n')
  })

  it('removes the roots of a killed process, but not of one that may be running', async () => {
    const roots = join(bench.folder, 'old roots')
    const aWeekAgo = new Date(Date.now() - 7 * 24 * 3_600_000)
    for (const name of ['old', 'young']) {
      await mkdir(join(roots, name), { recursive: true })
      await writeFile(join(roots, name, 'root'), '')
    }
    await utimes(join(roots, 'old'), aWeekAgo, aWeekAgo)
    await bench.limited({ rootsDirectory: roots }).withRealised([], {}, async () => 'used')
    assert.deepEqual(await readdir(roots), ['young'])
  })
})
