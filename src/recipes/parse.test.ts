import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatProblem, parseRecipe, type Format } from './parse.ts'

/** All problems of a recipe `web`, with their positions. */
function problems(text: string, format: Format = 'toml'): string[] {
  const parsed = parseRecipe('web', text, format)
  return parsed.ok
    ? []
    : parsed.problems.map((problem) => formatProblem({ ...problem, file: `web.${format}` }))
}

const file = (fields: string): string =>
  `packages = ["nginx"]\n\n[[files]]\npath = "/etc/a"\ntext = ""\n\n[[files]]\n${fields}\n`

describe('what is wrong with a recipe', () => {
  const rows: [what: string, text: string, expected: string | RegExp][] = [
    ['no TOML', 'cmd = [\n"a"\nb', /^web\.toml:3:1: recipe web: not valid TOML: /],
    [
      'an unknown field',
      '# a\npackages = ["nginx"]\nworkDirectory = "/srv"',
      'web.toml:3:1: recipe web: workDirectory: unknown field: did you mean workdir?',
    ],
    [
      'a field in a different case',
      'stopsignal = "SIGQUIT"',
      'web.toml:1:1: recipe web: stopsignal: unknown field: did you mean stopSignal?',
    ],
    [
      'commands',
      'extraCommands = "mkdir x"',
      /:1:1: recipe web: extraCommands: is not a field: commands are a derivation/,
    ],
    [
      'an unknown field of a file',
      file('path = "/x"\ntext = ""\nmoed = "0644"'),
      'web.toml:10:1: recipe web: files[1].moed: unknown field: did you mean mode?',
    ],
    [
      'a device file',
      file('path = "/x"\ntext = ""\ndevice = "c 1 3"'),
      /web\.toml:10:1: recipe web: files\[1\]\.device: is not a field: images cannot have device files/,
    ],
    [
      'a file in /dev',
      file('path = "/dev/null"\ntext = ""'),
      /web\.toml:8:1: recipe web: files\[1\]\.path: \/dev is mounted by the container runtime/,
    ],
    ['a file outside of /', file('path = "etc/x"\ntext = ""'), /files\[1\]\.path: "etc\/x" must be absolute/],
    [
      'a path with ..',
      file('path = "/etc/../x"\ntext = ""'),
      /files\[1\]\.path: "\/etc\/\.\.\/x" must not contain "\.\."/,
    ],
    [
      'a deletion',
      file('path = "/etc/.wh.x"\ntext = ""'),
      /files\[1\]\.path: no name may begin with "\.wh\."/,
    ],
    [
      'a file in the store',
      file('path = "/nix/store/x"\ntext = ""'),
      /files\[1\]\.path: the Nix store has packages only/,
    ],
    [
      'a mode above 7777',
      file('path = "/x"\ntext = ""\nmode = "17777"'),
      'web.toml:10:1: recipe web: files[1].mode: 17777 is above 7777, the highest mode',
    ],
    [
      'a mode that is a number',
      file('path = "/x"\ntext = ""\nmode = 0o644'),
      /:10:1: recipe web: files\[1\]\.mode: must be an octal number in quotes, such as "0644"/,
    ],
    [
      'a file without contents',
      file('path = "/x"'),
      /files\[1\]: \/x has no contents: give one of text, source, link and directory/,
    ],
    [
      'a file with two kinds of contents',
      file('path = "/x"\ntext = ""\nlink = "y"'),
      /files\[1\]: \/x has text and link/,
    ],
    [
      'a link with a mode',
      file('path = "/x"\nlink = "y"\nmode = "0644"'),
      /\/x is a link, which cannot have mode/,
    ],
    [
      'a negative uid',
      file('path = "/x"\ntext = ""\nuid = -1'),
      /files\[1\]\.uid: must be a whole number from 0 to 4294967294/,
    ],
    [
      'a variable with =',
      '[env]\n"A=B" = "c"',
      'web.toml:2:1: recipe web: env.A=B: the name "A=B" must not contain "=" or NUL',
    ],
    [
      'a variable with NUL',
      '[env]\nA = "b\\u0000"',
      /web\.toml:2:1: recipe web: env\.A: must not contain a NUL character/,
    ],
    [
      'a command as a text',
      'cmd = "nginx -g x"',
      'web.toml:1:1: recipe web: cmd: must be a list of words, the program first: ["…"]',
    ],
    ['a user with spaces', 'user = "a b"', /user: "a b" is not a user, such as "app", "1000" or "app:app"/],
    ['a port', 'ports = ["80/http"]', /ports\[0\]: "80\/http" is not a port, such as "8080\/tcp"/],
    ['a platform', 'platforms = ["riscv64"]', /platforms\[0\]: must be one of amd64, arm64/],
    ['too many layers', 'maxLayers = 200', /maxLayers: must be a whole number from 1 to 120/],
    [
      'an invalid package name',
      'packages = ["git/x"]',
      /packages\[0\]: must be the name of a package, such as "git"/,
    ],
    [
      'an account without a uid',
      '[[accounts]]\nname = "app"',
      /web\.toml:1:\d+: recipe web: accounts\[0\]\.uid: must be a whole number/,
    ],
  ]
  for (const [what, text, expected] of rows) {
    it(what, () => {
      const [first, ...others] = problems(text)
      assert.deepEqual(others, [])
      if (typeof expected === 'string') assert.equal(first, expected)
      else assert.match(first ?? '', expected)
    })
  }

  it('has its position in JSON, too', () => {
    assert.deepEqual(
      problems(
        '{\n  "packages": ["nginx"],\n  "files": [{ "path": "/a", "text": "" },\n    { "path": "/b", "text": "", "mode": "9" }]\n}',
        'json',
      ),
      ['web.json:4:33: recipe web: files[1].mode: "9" is not a mode, such as "0644"'],
    )
    assert.match(problems('{\n "a" "b" }', 'json')[0] ?? '', /^web\.json:2:6: recipe web: not valid JSON: /)
    assert.deepEqual(problems('[]', 'json'), ['web.json: recipe web: must be a table of fields'])
  })

  it('is reported for several fields together', () => {
    assert.equal(problems('user = ""\ncmd = ""\nports = [0]').length, 3)
  })
})
