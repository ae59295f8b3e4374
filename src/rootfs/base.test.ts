import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { dir, file, link } from '../layers/testing.ts'
import type { BaseEntry } from './base-entry.ts'
import { treeOfBase } from './base-tree.ts'
import { bin, buildRootfs, rootfsOf, script, x86, type Image } from './testing.ts'
import type { Tree } from './work.ts'

const root = { uid: 0, gid: 0 }
const d = (path: string, mode = 0o755, owner = root): BaseEntry => ({ kind: 'directory', path, mode, owner })
const f = (path: string, text?: string): BaseEntry => ({
  kind: 'file',
  path,
  mode: 0o644,
  owner: root,
  ...(text !== undefined && { text }),
})
const l = (path: string, target: string): BaseEntry => ({ kind: 'link', path, target })

/** As in Debian. */
const merged: readonly BaseEntry[] = [
  d('usr'),
  d('usr/bin'),
  d('usr/sbin'),
  d('usr/lib'),
  d('usr/lib64'),
  d('etc', 0o751),
  d('srv', 0o2775),
  d('tmp', 0o1777, { uid: 3, gid: 4 }),
  d('run'),
  d('run/lock', 0o1777),
  l('bin', 'usr/bin'),
  l('sbin', 'usr/sbin'),
  l('lib', 'usr/lib'),
  l('lib64', 'usr/lib64'),
  l('var/run', '/run'),
  f('usr/bin/sh'),
  f('usr/bin/env'),
  f('usr/sbin/ip'),
  f('usr/lib/libz.so'),
  f('usr/lib64/ld-linux-x86-64.so.2'),
  f('etc/passwd', 'root:x:0:0::/root:/bin/sh\nwww:x:33:33::/srv:/bin/sh'),
  f('etc/group', 'root:x:0:\nwww:x:33:\nstaff:x:50:www\n'),
  f('etc/shells', '/bin/sh\n'),
  { kind: 'file', path: 'etc/shadow', mode: 0o600, owner: { uid: 0, gid: 9 }, text: 'root:*:::::::\n' },
]
/** As in busybox: folders of programs are directories. */
const plain: readonly BaseEntry[] = [d('bin'), f('bin/sh'), f('bin/ls'), d('sbin'), f('sbin/ip'), d('etc')]

const on = (base: readonly BaseEntry[], image: Image = {}) => rootfsOf({ base: [base], ...image })

describe('an image on a base', () => {
  it('follows links of the base to directories and never replaces them', async () => {
    const found = await on(merged, {
      packages: [
        dir({ bin: dir({ tool: script }), sbin: dir({ own: script }), lib: dir({ 'own.so': file() }) }),
      ],
    })
    assert.equal(found.get('usr/bin/tool'), '-> p0/bin/tool')
    assert.equal(found.get('usr/bin/own'), '-> p0/sbin/own')
    assert.equal(found.get('usr/lib/own.so'), '-> p0/lib/own.so')
    for (const path of ['bin', 'sbin', 'lib', 'lib64', 'usr/sbin', 'var/run', 'run'])
      assert.ok(!found.has(path), path)
  })

  it('keeps the programs, libraries and loader of the base; files of packages replace its other files', async () => {
    const packages = [
      dir({ bin: dir({ env: script }), lib: dir({ 'libz.so': file(), 'ld-linux-x86-64.so.2': x86 }) }),
    ]
    const found = await on(merged, { packages, needs: [bin({ sh: script })] })
    assert.equal(found.get('usr/bin/env'), '-> p0/bin/env')
    for (const path of ['usr/bin/sh', 'usr/lib/libz.so', 'usr/lib64/ld-linux-x86-64.so.2'])
      assert.ok(!found.has(path), path)
  })

  it('repeats only directories that it adds to, with the modes and owners of the base', async () => {
    const { entries } = await buildRootfs({
      base: [merged],
      packages: [dir({ etc: dir({ conf: file() }), srv: dir({ page: file() }) })],
      extra: { files: [{ path: '/tmp/new', text: 'x', mode: '0644', ...root }] },
    })
    const folders = entries.flatMap((entry) =>
      entry.kind === 'directory'
        ? [[entry.path, entry.mode.toString(8), entry.owner?.uid, entry.owner?.gid]]
        : [],
    )
    assert.deepEqual(
      folders.filter(([path]) => ['etc', 'srv', 'tmp', 'run'].includes(String(path))),
      [
        ['etc', '751', 0, 0],
        ['srv', '2775', 0, 0],
        ['tmp', '1777', 3, 4],
      ],
    )
  })

  it('never replaces a directory with a link: entries of packages are added to those of the base', async () => {
    const base = [...merged, d('usr/share'), d('usr/share/doc'), f('usr/share/doc/theirs')]
    const packages = [dir({ usr: dir({ share: dir({ doc: dir({ ours: file() }), more: dir() }) }) })]
    const found = await on(base, { packages })
    assert.equal(found.get('usr/share/doc/ours'), '-> p0/usr/share/doc/ours')
    assert.equal(found.get('usr/share/more'), '-> p0/usr/share/more')
    const { warnings } = await buildRootfs({ base: [base], packages: [dir({ usr: dir({ share: file() }) })] })
    assert.match(warnings.join(), /p0\/usr\/share is ignored: \/usr\/share is a directory of the base/)
  })

  it('also has programs in /bin if that is a separate directory, and replaces those in other folders', async () => {
    const found = await on(plain, { packages: [bin({ ls: script, tool: script, ip: script })] })
    assert.equal(found.get('bin/tool'), '-> p0/bin/tool')
    assert.equal(found.get('bin/ls'), '-> p0/bin/ls')
    assert.equal(found.get('usr/bin/tool'), '-> p0/bin/tool')
    assert.equal(found.get('sbin/ip'), '-> p0/bin/ip')
    assert.ok(!found.has('sbin/tool') && !found.has('bin/sh') && !found.has('usr/bin/sh'))
  })

  it('does not follow cycles of links in packages forever', async () => {
    const packages = [dir({ usr: dir({ share: dir({ again: link('.') }) }) })]
    const base = [...merged, d('usr/share'), l('usr/share/again', '.')]
    assert.ok((await on(base, { packages })).size > 0)
  })

  it('extends the accounts and shells of the base, with their modes and owners', async () => {
    const account = {
      name: 'app',
      uid: 1000,
      gid: 1000,
      home: '/srv/app',
      shell: '/bin/sh',
      groups: ['staff'],
    }
    const image = {
      packages: [bin({ bash: script })],
      extra: { accounts: [account], workdir: '/w', user: 'www' },
    }
    const found = await on(merged, image)
    assert.equal(
      found.get('etc/passwd'),
      '644 root:x:0:0::/root:/bin/sh\nwww:x:33:33::/srv:/bin/sh\napp:x:1000:1000::/srv/app:/bin/sh\n',
    )
    assert.equal(found.get('etc/group'), '644 root:x:0:\nwww:x:33:\nstaff:x:50:www,app\napp:x:1000:\n')
    assert.equal(found.get('etc/shadow'), '600 root:*:::::::\napp:!::0:99999:7:::\n')
    assert.equal(found.get('etc/shells'), '644 /bin/sh\n/bin/bash\n/usr/bin/bash\n')
    assert.ok(!found.has('etc/gshadow') || /app/.test(found.get('etc/gshadow') ?? ''))
    const { entries } = await buildRootfs({ base: [merged], ...image })
    const owner = (path: string) => entries.find((entry) => entry.path === path && 'owner' in entry)
    assert.deepEqual((owner('w') as { owner: object }).owner, { uid: 33, gid: 33 })
    await assert.rejects(
      on(merged, { extra: { user: 'nobody' } }),
      /user: there is no account nobody: add it to accounts/,
    )
    // Without accounts, none of these files are changed.
    assert.ok(!(await on(merged)).has('etc/passwd'))
  })
})

/** Paths of a tree, with targets of links to directories. */
function pathsOf(tree: Tree, prefix = ''): string[] {
  return [...tree].flatMap(([name, node]) => {
    const path = prefix + name
    if (node.kind === 'directory') return [`${path}/`, ...pathsOf(node.children, `${path}/`)]
    return node.kind === 'alias' ? [`${path} -> ${node.at}`] : [path]
  })
}

describe('the tree of a base', () => {
  it('applies whiteouts, opaque directories, and directories that replace links', () => {
    const layers: (readonly BaseEntry[])[] = [
      [d('a'), f('a/1'), f('a/2'), d('b'), f('b/1'), l('c', 'a'), d('e'), f('e/1')],
      [{ kind: 'removed', path: 'a/1' }, f('b/new'), { kind: 'emptied', path: 'b' }, f('c/1'), f('e')],
    ]
    assert.deepEqual(pathsOf(treeOfBase(layers)).sort(), ['a/', 'a/2', 'b/', 'b/new', 'c/', 'c/1', 'e'])
  })

  it('follows links like Linux: absolute, relative, through links, to nothing, in cycles', () => {
    const entries = [
      d('x'),
      d('x/y'),
      f('x/file'),
      l('abs', '/x/y'),
      l('rel', 'x/../x/y'),
      l('x/y/up', '../..'),
      l('two', 'abs/up'),
      l('none', '/not/there'),
      l('out', '../../x'),
      l('loop', 'loop'),
      l('tofile', 'x/file'),
    ]
    assert.deepEqual(
      pathsOf(treeOfBase([entries])).filter((path) => !/^x\/(y\/)?$/.test(path)),
      [
        'x/y/up -> /',
        'x/file',
        'abs -> /x/y',
        'rel -> /x/y',
        'two -> /',
        'none -> /not/there',
        'out -> /x',
        'loop',
        'tofile',
      ],
    )
  })

  it('is built with little time and memory, however links are chained and however deep files are', () => {
    const far = 'b/../'.repeat(800)
    const chain = Array.from({ length: 5 }, (_, index) => l(`c${index}`, `/c${index + 1}/${far}`))
    const links = Array.from({ length: 100 }, (_, index) => l(`l${index}`, `/c${index % 5}`))
    const started = performance.now()
    treeOfBase([[...chain, ...links]])
    assert.ok(performance.now() - started < 60_000) // half an hour, if the time were not linear
    const deep = Array.from({ length: 2000 }, (_, index) => f(`${index}/${'a/'.repeat(250)}a`))
    assert.throws(() => treeOfBase([deep]), /files in more than 400000 directories that they do not list/)
  })
})
