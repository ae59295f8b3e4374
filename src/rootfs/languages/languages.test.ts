import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { dir, file, type Tree } from '../../layers/testing.ts'
import { bin, buildRootfs, rootfsOf, script, short, x86, type Image } from '../testing.ts'

/** A tree with a file or another tree at each path, and their parent folders. */
function tree(paths: Readonly<Record<string, Tree>>): Tree {
  const groups = Map.groupBy(Object.entries(paths), ([path]) => path.split('/')[0] ?? '')
  return dir(
    Object.fromEntries(
      Array.from(groups, ([name, entries]) => {
        const [first] = entries
        if (first?.[0] === name) return [name, first[1]]
        const below = entries.map(([path, child]) => [path.slice(name.length + 1), child])
        return [name, tree(Object.fromEntries(below) as Record<string, Tree>)]
      }),
    ),
  )
}

/** A package with these empty files that propagates others, such as `n0`. */
const needing = (needs: string, ...paths: string[]): Tree =>
  tree({
    ...Object.fromEntries(paths.map((path) => [path, file()])),
    ...(needs !== '' && {
      'nix-support/propagated-build-inputs': file(`${needs.replaceAll(/\w+/g, '@$&@')} \n`),
    }),
  })

const python = (version: string): Tree =>
  tree({ [`bin/python${version}`]: x86, 'bin/python3': x86, [`lib/python${version}/os.py`]: file() })
const site = 'lib/python3.11/site-packages'

const envOf = async (image: Image): Promise<string[]> => (await buildRootfs(image)).env
const warningsOf = async (image: Image): Promise<string[]> => (await buildRootfs(image)).warnings.map(short)

describe('modules requested together with their interpreter', () => {
  const rows: [what: string, image: Image, env: string[], found: Record<string, string | undefined>][] = [
    [
      'are linked with their propagated modules, and no others',
      {
        packages: [python('3.11'), needing('n1 n2', `${site}/a/x.py`)],
        needs: [
          needing('', `${site}/unrelated.py`),
          needing('n3', `${site}/b/x.py`),
          needing('n1', `${site}/ns/c/x.py`),
          needing('p1', `${site}/ns/d/x.py`),
        ],
      },
      [],
      {
        'pyvenv.cfg': '644 home = p0/bin\ninclude-system-site-packages = true\n',
        'usr/pyvenv.cfg': '644 home = p0/bin\ninclude-system-site-packages = true\n',
        'usr/lib/python3.11': '-> /lib/python3.11',
        'lib/python3.11/os.py': '-> p0/lib/python3.11/os.py',
        [`${site}/a`]: `-> p1/${site}/a`,
        [`${site}/b`]: `-> n1/${site}/b`,
        [`${site}/ns`]: '755/',
        [`${site}/ns/c`]: `-> n2/${site}/ns/c`,
        [`${site}/ns/d`]: `-> n3/${site}/ns/d`,
        [`${site}/unrelated.py`]: undefined,
      },
    ],
    [
      'are linked with modules propagated to profiles',
      {
        packages: [
          python('3.11'),
          tree({
            [`${site}/a.py`]: file(),
            'nix-support/propagated-user-env-packages': file('@n0@\n/nix/store/not-in-the-image'),
          }),
        ],
        needs: [needing('', `${site}/b.py`)],
      },
      [],
      { [`${site}/b.py`]: `-> n0/${site}/b.py` },
    ],
    [
      'change nothing without the interpreter',
      { packages: [needing('n0', `${site}/a.py`)], needs: [needing('', `${site}/b.py`), python('3.11')] },
      [],
      { 'pyvenv.cfg': undefined, [`${site}/b.py`]: undefined },
    ],
    [
      'are not added if the interpreter comes alone',
      {
        packages: [
          python('3.11'),
          tree({
            'bin/perl': x86,
            'lib/perl5/5.36.0/x.pm': file(),
            'lib/perl5/site_perl/5.36.0/y.pm': file(),
          }),
          tree({ 'bin/node': x86, 'lib/node_modules/npm/x.js': file() }),
        ],
      },
      [],
      { 'pyvenv.cfg': undefined, 'usr/lib': undefined },
    ],
    [
      'of Perl',
      {
        packages: [
          tree({ 'bin/perl': script, 'lib/perl5/5.36.0/x.pm': file() }),
          needing('n0', 'lib/perl5/site_perl/5.36.0/A.pm'),
        ],
        needs: [needing('', 'lib/perl5/site_perl/5.36.0/x86_64-linux-thread-multi/B.pm')],
      },
      ['PERL5LIB=/lib/perl5/site_perl'],
      {
        'lib/perl5/site_perl/5.36.0/A.pm': '-> p1/lib/perl5/site_perl/5.36.0/A.pm',
        'lib/perl5/site_perl/5.36.0/x86_64-linux-thread-multi':
          '-> n0/lib/perl5/site_perl/5.36.0/x86_64-linux-thread-multi',
      },
    ],
    [
      'of Ruby',
      {
        packages: [
          tree({ 'bin/ruby': x86, 'lib/ruby/3.3.0/x.rb': file() }),
          needing(
            'n0',
            'lib/ruby/gems/3.3.0/gems/a-1/a.rb',
            'lib/ruby/gems/3.3.0/specifications/a-1.gemspec',
          ),
        ],
        needs: [
          needing('', 'lib/ruby/gems/3.3.0/gems/b-1/b.rb', 'lib/ruby/gems/3.3.0/specifications/b-1.gemspec'),
        ],
      },
      ['GEM_PATH=/lib/ruby/gems/3.3.0'],
      {
        'lib/ruby/gems/3.3.0/gems/a-1': '-> p1/lib/ruby/gems/3.3.0/gems/a-1',
        'lib/ruby/gems/3.3.0/specifications/b-1.gemspec':
          '-> n0/lib/ruby/gems/3.3.0/specifications/b-1.gemspec',
      },
    ],
    [
      'of Node.js and R',
      {
        packages: [
          tree({ 'bin/node': x86, 'lib/node_modules/npm/x.js': file() }),
          needing('', 'lib/node_modules/@s/a/x.js'),
          bin({ R: script }),
          needing('n0', 'library/zoo/DESCRIPTION'),
        ],
        needs: [needing('', 'library/lattice/DESCRIPTION')],
      },
      ['NODE_PATH=/lib/node_modules', 'R_LIBS_SITE=/library'],
      {
        'lib/node_modules/@s': '-> p1/lib/node_modules/@s',
        'lib/node_modules/npm': '-> p0/lib/node_modules/npm',
        'library/lattice': '-> n0/library/lattice',
      },
    ],
    [
      'of two versions, each for its own',
      {
        packages: [
          python('3.11'),
          python('3.12'),
          needing('', `${site}/a.py`),
          needing('', 'lib/python3.12/site-packages/a.py'),
        ],
      },
      [],
      {
        'pyvenv.cfg': '644 home = p0/bin\ninclude-system-site-packages = true\n',
        [`${site}/a.py`]: `-> p2/${site}/a.py`,
        'lib/python3.12/site-packages/a.py': '-> p3/lib/python3.12/site-packages/a.py',
        'usr/lib/python3.12': '-> /lib/python3.12',
      },
    ],
  ]
  for (const [what, image, env, expected] of rows) {
    it(what, async () => {
      const found = await rootfsOf(image)
      const actual = Object.fromEntries(Object.keys(expected).map((path) => [path, found.get(path)]))
      const texts = Object.fromEntries(
        Object.entries(actual).map(([path, text]) => [path, text?.replace(/\/\S+\/store-[^/]+\//, '')]),
      )
      assert.deepEqual(texts, expected)
      assert.deepEqual(await envOf(image), env)
    })
  }
})

describe('modules that cannot work', () => {
  it('are reported if they are for another version', async () => {
    const image = {
      packages: [python('3.11'), needing('', 'lib/python3.12/site-packages/a.py')],
      needs: [needing('', 'lib/python3.10/site-packages/b.py')],
    }
    assert.deepEqual(await warningsOf(image), [
      'p1 has modules for Python 3.12, but the image has Python 3.11: request an interpreter and modules of the same ' +
        'version',
    ])
    assert.deepEqual(await envOf(image), [])
    assert.equal((await rootfsOf(image)).has('pyvenv.cfg'), false)
  })

  it('are not reported if the version of the interpreter is unknown', async () => {
    const image = { packages: [bin({ perl: script }), needing('', 'lib/perl5/site_perl/5.36.0/A.pm')] }
    assert.deepEqual(await warningsOf(image), [])
    assert.deepEqual(await envOf(image), ['PERL5LIB=/lib/perl5/site_perl'])
  })

  it('are reported once if two have the same file', async () => {
    const image = {
      packages: [python('3.11'), needing('n0', `${site}/a.py`, `${site}/b.py`), needing('', `${site}/b.py`)],
      needs: [needing('', `${site}/a.py`)],
    }
    const warning = (name: string, used: string, ignored: string) =>
      `/${site}/${name} is in two packages: ${used}/${site}/${name} is used, ${ignored}/${site}/${name} is ignored`
    assert.deepEqual(await warningsOf(image), [warning('b.py', 'p1', 'p2'), warning('a.py', 'p1', 'n0')])
  })
})
