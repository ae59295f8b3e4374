import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createBuildReport } from './build-report.ts'
import { createKeptLines } from './process.ts'
import { createEventReader } from './log-events.ts'

const drv = (name: string) => `/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-${name}.drv`

/** What versions of Nix print about a package that fails itself, and about one that depends on it. */
const versions = {
  'Nix 2.8': {
    failed: (name: string, code: number) => [
      `error: builder for '${drv(name)}' failed with exit code ${code}`,
    ],
    needs: (name: string) => [`error: 1 dependencies of derivation '${drv(name)}' failed to build`],
  },
  'Nix 2.34': {
    failed: (name: string, code: number) => [
      `error: Cannot build '${drv(name)}'.`,
      `       Reason: builder failed with exit code ${code}.`,
      '       Output paths:',
      `         /nix/store/yb6zr3mnq41qx63pv8dpflcq4s2ggpkh-${name}`,
    ],
    needs: (name: string) => [
      `error: Cannot build '${drv(name)}'.`,
      '       Reason: 1 dependency failed.',
      '       Output paths:',
      `         /nix/store/yb6zr3mnq41qx63pv8dpflcq4s2ggpkh-${name}`,
    ],
  },
}

const chain = Array.from({ length: 500 }, (_, level) => `level-${level}`)

for (const [version, { failed, needs }] of Object.entries(versions)) {
  describe(`build failures reported by ${version} tells it`, () => {
    it('is reported below a chain of any length, with its dependents', () => {
      const report = createBuildReport([drv('level-499')])
      const lines = [
        `building '${drv('root')}'...`,
        'THE REAL REASON',
        ...failed('root', 3),
        ...chain.flatMap(needs),
      ]
      for (const line of lines) report.take(line)
      assert.equal(report.text(), 'root, which level-499 needs, failed with exit code 3:\nTHE REAL REASON')
    })

    it('is kept among the last lines of a process', () => {
      const kept = createKeptLines(20)
      for (const line of ['THE REAL REASON', ...failed('root', 3), ...chain.flatMap(needs), 'end'])
        kept.push(line)
      assert.deepEqual(kept.lines, ['THE REAL REASON', ...failed('root', 3), 'end'])
    })

    it('is reported for each builder, however their lines are interleaved', () => {
      const report = createBuildReport([drv('a'), drv('b')])
      for (let line = 0; line < 100; line += 1) {
        report.take(`line ${line} of a`, drv('a'))
        report.take(`error: line ${line} of b`, drv('b'))
        report.take(`another ${line}`, drv('c'))
      }
      for (const line of [...failed('a', 3), ...needs('d'), ...failed('b', 4)]) report.take(line)
      const reportLines = report.text().split('\n')
      assert.equal(reportLines.length, 32)
      assert.deepEqual(
        [reportLines[0], reportLines[15], reportLines[16], reportLines[31]],
        ['a failed with exit code 3:', 'line 99 of a', 'b failed with exit code 4:', 'error: line 99 of b'],
      )
      assert.ok(!report.hasError(/line 99/), 'a builder prints is not taken for an error of Nix')
    })

    it('is counted if many builders fail', () => {
      const report = createBuildReport()
      for (const name of ['a', 'b', 'c', 'd', 'e']) for (const line of failed(name, 1)) report.take(line)
      assert.match(report.text(), /^a failed.*\nb failed.*\nc failed.*\nand 2 more$/)
    })
  })
}

describe('other failures', () => {
  it('are reported in the words of Nix', () => {
    const report = createBuildReport()
    const lines = [
      'warning: something',
      `building '${drv('source')}'...`,
      `error: hash mismatch in fixed-output derivation '${drv('source')}':`,
      '         specified: sha256-a',
      '            got:    sha256-b',
      `error: 1 dependencies of derivation '${drv('hello')}' failed to build`,
    ]
    for (const line of lines) report.take(line)
    assert.equal(
      report.text(),
      `error: hash mismatch in fixed-output derivation '${drv('source')}':\n  specified: sha256-a\n     got:    sha256-b`,
    )
    assert.ok(report.hasError(/hash mismatch/))
    assert.equal(createBuildReport().text(), 'Nix gave no reason')
  })

  it('are reported with the lines of the running builder', () => {
    const report = createBuildReport()
    report.take(`building '${drv('slow')}'...`)
    report.take('compiling', drv('slow'))
    assert.equal(report.lastLines(), 'slow:\ncompiling')
  })
})

describe('the JSON log of Nix', () => {
  const read = (...events: (object | string)[]) => {
    const lines: [string, string | undefined][] = []
    const reader = createEventReader((line, builder) => lines.push([line, builder]))
    for (const event of events) reader(typeof event === 'string' ? event : `@nix ${JSON.stringify(event)}`)
    return lines
  }

  it('yields the lines that Nix would print, each with its builder', () => {
    const start = {
      action: 'start',
      id: 7,
      level: 3,
      text: "building 'x'",
      type: 105,
      fields: [drv('x'), '', 1, 1],
    }
    assert.deepEqual(
      read(
        { action: 'msg', level: 3, msg: 'this derivation will be built:\n  x' },
        { action: 'msg', level: 5, msg: 'too much' },
        { action: 'start', id: 6, level: 6, text: 'querying', type: 0 },
        start,
        { action: 'result', id: 7, type: 105, fields: [1, 2] },
        { action: 'result', id: 7, type: 101, fields: ['said'] },
        { action: 'result', id: 7, type: 101, fields: [''] },
        { action: 'stop', id: 7 },
        { action: 'result', id: 7, type: 101, fields: ['late'] },
        'not JSON',
      ),
      [
        ['this derivation will be built:', undefined],
        ['  x', undefined],
        ["building 'x'", undefined],
        ['said', drv('x')],
        ['', drv('x')],
        ['late', undefined],
        ['not JSON', undefined],
      ],
    )
  })

  it('is read as far as possible if it is truncated or is not JSON', () => {
    assert.deepEqual(read('@nix {"action":"result","fields":["abc\\u00'), [['abc', undefined]])
    assert.deepEqual(read('@nix {', '@nix 1', '@nix null', '@nix {"action":1}'), [])
  })
})
