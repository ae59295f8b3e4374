import { describe } from 'node:test'
import { dir, file, link } from '../layers/testing.ts'
import { bin, binOf, testRows } from './forest-testing.ts'

describe('conflicts in linkForest', () => {
  testRows([
    [
      'ignore files and links in place of program directories',
      [dir({ bin: file() }), dir({ sbin: link('/gone') }), dir({ usr: dir({ bin: dir({ a: file() }) }) })],
      { usr: { bin: { a: '-> p2/usr/bin/a' } } },
      ['/bin: not p0/bin, file', '/sbin: not p1/sbin, dangling'],
    ],
    [
      'ignore a file or a dangling link in place of a directory with programs',
      [dir({ usr: file() }), dir({ usr: link('/usr') }), bin('a')],
      binOf({ a: 2 }),
      ['/usr: not p1/usr, loop', '/usr: not p0/usr, file'],
    ],
    [
      'ignore a dangling link if a later package has a directory',
      [dir({ var: link('/var/lib/app') }), dir({ var: dir({ lib: dir({ b: file() }) }) })],
      { var: { lib: '-> p1/var/lib' } },
      ['/var: not p0/var, dangling'],
    ],
    [
      'ignore a dangling link if an earlier package has a directory',
      [dir({ var: dir({ lib: dir({ b: file() }) }) }), dir({ var: link('/var/lib/app') })],
      { var: { lib: '-> p0/var/lib' } },
      ['/var: not p1/var, dangling'],
    ],
    [
      'ignore dangling links in subdirectories',
      [
        dir({ lib: dir({ a: link('gone'), b: link('b'), c: link('/nix') }) }),
        dir({ lib: dir({ a: dir(), b: dir({ x: file() }), c: dir({ y: file() }) }) }),
        dir({ lib: dir({ c: dir({ z: file() }) }) }),
      ],
      { lib: { a: '-> p1/lib/a', b: '-> p1/lib/b', c: { y: '-> p1/lib/c/y', z: '-> p2/lib/c/z' } } },
      ['/lib/a: not p0/lib/a, dangling', '/lib/b: not p0/lib/b, dangling', '/lib/c: not p0/lib/c, dangling'],
    ],
    [
      'ignore links to their own places',
      [
        dir({
          data: link('/data'),
          log: link('/log/all'),
          etc: dir({ ssl: link('/etc/ssl') }),
          home: link('/homes'),
        }),
      ],
      { etc: {}, home: '-> p0/home' },
      ['/data: not p0/data, loop', '/etc/ssl: not p0/etc/ssl, loop', '/log: not p0/log, loop'],
    ],
    [
      'are not reported for files that every package generates',
      [
        dir({
          share: dir({ info: dir({ dir: file('1') }), mime: dir({ cache: file('1'), packages: file('1') }) }),
        }),
        dir({
          share: dir({ info: dir({ dir: file('2') }), mime: dir({ cache: file('2'), packages: file('2') }) }),
        }),
      ],
      {
        share: {
          info: { dir: '-> p0/share/info/dir' },
          mime: { cache: '-> p0/share/mime/cache', packages: '-> p0/share/mime/packages' },
        },
      },
      ['/share/mime/packages: p0/share/mime/packages, not p1/share/mime/packages'],
    ],
  ])
})
