import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { buildMessageOf, lastErrorOf, messageOf } from './message.ts'

const linesOf = (text: string) => text.split('\n')

// As printed by Nix 2.26 and 2.34 before the error itself.
const trace = `error:
       … while evaluating attribute 'results'
         at /opt/src/nix/evaluate.nix:66:3:
           65|   names = length (attrNames set);
           66|   results = map (look set [ ]) wanted.attributes;
             |   ^

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       `

describe('messageOf', () => {
  const table: [name: string, printed: string, message: string][] = [
    [
      'a thrown message of several lines',
      'error: line one\n       line two\n\n       line three',
      'error: line one\nline two\nline three',
    ],
    [
      'the same behind a trace',
      `${trace}error: line one\n       line two\n\n       line three`,
      'error: line one\nline two\nline three',
    ],
    [
      'a position in the package set',
      `error: cannot add a string to an integer

       at /set/default.nix:9:16:

            8|  a = 1;
            9|  typeerr = 1 + "a";
             |                ^
(use '--show-trace' to show detailed location information)`,
      `error: cannot add a string to an integer
at /set/default.nix:9:16:
     8|  a = 1;
     9|  typeerr = 1 + "a";
      |                ^`,
    ],
    [
      'text before an error',
      'warning: something\ntrace: [31mred\nerror: thrown\nerror (ignored): not of interest',
      'error: thrown',
    ],
    [
      'a failed build of an older Nix',
      `building '/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-ifdbad.drv'...
hello from ifd
error: builder for '/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-ifdbad.drv' failed with exit code 4
(use '--show-trace' to show detailed location information)`,
      'ifdbad failed with exit code 4:\nhello from ifd',
    ],
    [
      'a failed build of a newer Nix',
      `building '/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-ifdbad.drv'...
hello from ifd
${trace}error: Cannot build '/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-ifdbad.drv'.
       Reason: builder failed with exit code 4.
       Output paths:
         /nix/store/yb6zr3mnq41qx63pv8dpflcq4s2ggpkh-ifdbad`,
      'ifdbad failed with exit code 4:\nhello from ifd',
    ],
    ['text without an error of Nix', 'fatal: not a git repository', 'fatal: not a git repository'],
    ['nothing', '', 'Nix gave no reason'],
    [
      'a trace without an end',
      trace.trimEnd(),
      linesOf(trace)
        .map((line) => line.replace(/^ {7}/, ''))
        .filter((line) => line.trim())
        .join('\n'),
    ],
  ]
  for (const [name, printed, message] of table) {
    it(`tells ${name}`, () => assert.equal(messageOf(linesOf(printed)), message))
  }

  it('keeps the beginning of a long message, which says what is wrong', () => {
    const long = Array.from({ length: 100 }, (_, index) => `       line ${index}`)
    for (const head of ['error: refused', `${trace}error: refused`]) {
      const message = linesOf(messageOf([...linesOf(head), ...long]))
      assert.equal(message.length, 25)
      assert.equal(message[0], 'error: refused')
      assert.equal(message[1], 'line 0')
    }
  })
})

describe('buildMessageOf', () => {
  it("reports the builder's last lines and Nix's error, without progress messages", () => {
    const printed = `warning: you did not specify '--add-root'
these 2 derivations will be built:
  /nix/store/phadya490v4ykdazq4m40496bysz580j-bad-1.drv
  /nix/store/gnqr4wbc94gaywyinwgr9q90qm0r9qzj-dependent-1.drv
this path will be fetched (0.05 MiB download, 0.20 MiB unpacked):
  /nix/store/iqn63y1l5i09q4z3yzqf0pr5nbqgh7w6-hello-2.12
copying path '/nix/store/iqn63y1l5i09q4z3yzqf0pr5nbqgh7w6-hello-2.12' from 'https://cache.example.org'...
building '/nix/store/phadya490v4ykdazq4m40496bysz580j-bad-1.drv'...
doing

last words
error (ignored): error: cannot unlink '/nix/store/x': Permission denied
error: Cannot build '/nix/store/phadya490v4ykdazq4m40496bysz580j-bad-1.drv'.
       Reason: builder failed with exit code 3.
       Output paths:
         /nix/store/drdb1xh0mx8jk61z38gy5lizkw42d7xh-bad-1
error: Cannot build '/nix/store/gnqr4wbc94gaywyinwgr9q90qm0r9qzj-dependent-1.drv'.
       Reason: 1 dependency failed.`
    assert.equal(buildMessageOf(linesOf(printed)), 'bad-1 failed with exit code 3:\ndoing\nlast words')
  })

  it('keeps the end of a long log', () => {
    const log = Array.from({ length: 100 }, (_, index) => `line ${index}`)
    const message = linesOf(buildMessageOf([...log, 'error: builder failed']))
    assert.equal(message.length, 15)
    assert.equal(message.at(0), 'line 86')
    assert.equal(message.at(-1), 'error: builder failed')
  })
})

describe('lastErrorOf', () => {
  it("finds Nix's own error after the output of builders", () => {
    assert.equal(
      lastErrorOf(['error: of a builder', 'error: of Nix', '       more', '(ignored)']),
      'error: of Nix',
    )
    assert.equal(lastErrorOf(linesOf(`${trace}error: within`)), '       error: within')
    assert.equal(lastErrorOf(['nothing']), '')
  })
})
