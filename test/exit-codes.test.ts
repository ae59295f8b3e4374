import assert from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { execa, type Options } from 'execa'
import { launcher, runNixery, untilPrints } from './support/command.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let data: string
let set: string
const inFolder = (name: string) => join(workspace.folder, name)
const nixery = (args: readonly string[], options: Options = {}) => runNixery(data, set, args, options)
before(async () => {
  workspace = await openWorkspace()
  data = inFolder('data')
})
after(() => workspace.dispose())

/** The command lines of running processes that contain a text. */
async function processesWith(text: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(text))
}

describe('the exit code', () => {
  before(async () => {
    set = await workspace.packageSet(`
      fine = script "fine" "true";
      large = run "large" "mkdir $out; head -c 3000000 /dev/urandom > $out/large";
      broken = run "broken" "echo so broken >&2; exit 1";
      slow = run "slow" "sleep 60; mkdir $out";
      function = x: x;
    `)
  })

  const rows: [what: string, args: string[], code: number, message: RegExp, env?: Record<string, string>][] =
    [
      ['no image', [], 2, /missing required argument/],
      ['an unknown option', ['fine', '--fast'], 2, /unknown option/],
      ['a bad name', ['fine//fine'], 2, /image name/],
      ['a bad tag', ['fine:-'], 2, /tag/],
      ['an unknown form', ['fine', '-o', 'zip:x'], 2, /docker-archive:FILE/],
      ['a layout on standard output', ['fine', '-o', 'oci:-'], 2, /oci-archive:-/],
      ['an output in a missing folder', ['fine', '-o', 'oci-archive:/none/x'], 2, /\/none cannot be written/],
      ['a bad name for the output', ['fine', '--name', 'A'], 2, /name/],
      ['bad configuration', ['fine'], 2, /NIX_TIMEOUT/, { NIX_TIMEOUT: 'soon' }],
      ['an unknown package', ['fine/nope'], 3, /\[nope\]/],
      ['an unknown tag', ['fine:v1'], 3, /no tag but "latest"/],
      ['a function instead of a package', ['function'], 4, /is a function/],
      ['a failing build', ['broken'], 4, /so broken/],
      ['no package set', ['fine'], 4, /there is no package set/, { NIXERY_PKGS_PATH: '/none' }],
      ['a build that takes too long', ['slow'], 5, /1 s/, { NIX_TIMEOUT: '1' }],
      ['a store that is a file', ['fine'], 6, /storage|folder/, { STORAGE_PATH: '/dev/null' }],
    ]
  for (const [what, args, code, message, env = {}] of rows) {
    it(`is ${code} for ${what}`, async () => {
      const run = await nixery(['build', ...args], { env })
      assert.match(run.stderr, message)
      assert.equal(run.exitCode, code, run.stderr)
      assert.equal(run.stdout, '')
    })
  }

  it('is 2 for an option with a value that a setting could not have, and the message names the option', async () => {
    for (const args of [
      ['--keep', 'x'],
      ['--limit', '3potatoes'],
    ]) {
      const run = await nixery(['gc', ...args])
      assert.match(run.stderr, new RegExp(`option '${args[0]} .*"${args[1]}" is not a `))
      assert.equal(run.exitCode, 2)
    }
  })

  it('is 6 for a full disk, and leaves nothing behind', async () => {
    const disk = await workspace.mountSmallDisk(2)
    for (const form of ['docker-archive', 'oci']) {
      const run = await nixery(['build', 'large', '-o', `${form}:${disk}/x`])
      assert.equal(run.exitCode, 6, run.stderr)
      assert.match(run.stderr, /ENOSPC/)
      assert.deepEqual(await readdir(disk), [])
    }
  })

  it('is 6 for a reader that disconnects', async () => {
    const run = await execa(
      'bash',
      ['-c', `${launcher} build large -o oci-archive:- | head -c 1; echo \${PIPESTATUS[0]} >&2`],
      {
        env: { NIXERY_DATA: data, NIXERY_PKGS_PATH: set },
      },
    )
    assert.match(run.stderr, /\n6$/)
    assert.match(run.stderr, /writing standard output failed: EPIPE/)
  })

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`is ${code} after ${signal}, which leaves no files or processes`, async () => {
      const output = inFolder(`${signal}.tar`)
      const run = nixery(['build', 'slow', '-o', `docker-archive:${output}`])
      await untilPrints(run, /building .*slow/)
      await sleep(300)
      const started = performance.now()
      run.kill(signal)
      const { exitCode, stderr } = await run
      assert.equal(exitCode, code, stderr)
      assert.ok(performance.now() - started < 40_000) // the builder takes a minute
      assert.deepEqual(await readdir(join(data, 'gcroots')), [])
      await assert.rejects(stat(output))
      assert.deepEqual(
        (await readdir(workspace.folder)).filter((name) => name.endsWith('.part')),
        [],
      )
      // A builder that outlives Nix ends by itself.
      for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
        const left = await processesWith(join(data, 'gcroots'))
        if (left.length === 0) break
        assert.ok(Date.now() < deadline, left.join('\n'))
      }
    })
  }

  it('is 130 if it is interrupted while writing', async () => {
    const pipe = inFolder('pipe')
    await execa('mkfifo', [pipe])
    const run = nixery(['build', 'large', '-o', `docker-archive:${pipe}`])
    const reader = execa('bash', ['-c', 'exec 3<"$0"; sleep 60', pipe], { reject: false })
    await untilPrints(run, /writing/)
    await sleep(200)
    run.kill('SIGINT')
    assert.equal((await run).exitCode, 130)
    reader.kill()
    await reader
  })

  it('is 0 for the version', async () => {
    const { stdout, exitCode } = await nixery(['--version'])
    assert.deepEqual([exitCode, /^\d+\.\d+\.\d+$/.test(stdout)], [0, true], stdout)
  })

  it('is mentioned in the help', async () => {
    const commands = ['build', 'push', 'plan', 'gc', 'scrub', 'warm', 'config', 'doctor', 'popcount', 'index']
    const texts = [...commands, 'recipe', 'key create', 'access explain'].map((command) =>
      nixery([...command.split(' '), '--help']),
    )
    for (const { stdout, exitCode } of await Promise.all(texts)) {
      assert.equal(exitCode, 0)
      for (const code of ['0', '1', '2', '3', '4', '5', '6', '7', '130']) {
        assert.match(stdout, new RegExp(`^ +${code}  \\w`, 'm'))
      }
    }
  })
})
