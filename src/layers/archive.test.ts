import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { StorePath } from '../image/store-path.ts'
import { blockSize, type Entry, storePathEntries, tarBlocks, trailer } from './archive.ts'

/** What is put on disk. Names and targets are byte strings (latin1), as in archives. */
type Tree =
  | { readonly bytes: Uint8Array; readonly mode?: number }
  | { readonly target: string }
  | { readonly children: readonly (readonly [name: string, tree: Tree])[] }

const raw = (text: string): Buffer => Buffer.from(text, 'latin1')
const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

const file = (text: string | Uint8Array = '', mode = 0o644): Tree => ({ bytes: Buffer.from(text), mode })
const link = (target: string): Tree => ({ target })
const dir = (children: Readonly<Record<string, Tree>> = {}): Tree => ({ children: Object.entries(children) })
const named = (...names: string[]): Tree => ({ children: names.map((name) => [name, file(name)]) })

/** Makes a tree; `order` is the order in which the names of a directory are made. */
function make(path: string, tree: Tree, order: 'given' | 'reverse' = 'given'): void {
  if ('bytes' in tree) {
    fs.writeFileSync(raw(path), tree.bytes)
    fs.chmodSync(raw(path), tree.mode ?? 0o644)
  } else if ('target' in tree) fs.symlinkSync(raw(tree.target), raw(path))
  else {
    fs.mkdirSync(raw(path))
    const children = order === 'given' ? tree.children : tree.children.toReversed()
    for (const [name, child] of children) make(`${path}/${name}`, child, order)
  }
}

/** A member of an archive; types are '0' file, '2' symbolic link, '5' directory. */
type Member = { path: string; type: string; mode: number; size: number; target: string; sha256: string }

/** What an archive of a tree must have, said without the code under test. */
function members(path: string, tree: Tree): Member[] {
  const none = { size: 0, target: '', sha256: '' }
  if ('target' in tree) return [{ path, type: '2', mode: 0o777, ...none, target: tree.target }]
  if ('bytes' in tree) {
    const mode = (tree.mode ?? 0) & 0o100 ? 0o555 : 0o444
    return [
      { path, type: '0', mode, ...none, size: tree.bytes.length, sha256: hash('sha256', tree.bytes) },
    ]
  }
  const sorted = tree.children.toSorted(([a], [b]) => Buffer.compare(raw(a), raw(b)))
  const below = sorted.flatMap(([name, child]) => members(`${path}/${name}`, child))
  return [{ path, type: '5', mode: 0o555, ...none }, ...below]
}

const tarOf = (entries: Iterable<Entry>): Buffer => Buffer.concat([...tarBlocks(entries), trailer])
const tarOfPath = (path: string): Buffer => tarOf(storePathEntries(path as StorePath))

const reader = `
import hashlib, json, sys, tarfile
raw = lambda text: text.encode('utf-8', 'surrogateescape').decode('latin1')
members = []
with tarfile.open(fileobj=sys.stdin.buffer, mode='r|', encoding='utf-8', errors='surrogateescape') as tar:
  for m in tar:
    body = hashlib.sha256(tar.extractfile(m).read()).hexdigest() if m.isreg() and 'headers' not in sys.argv else ''
    members.append({'path': raw(m.name), 'type': m.type.decode(), 'mode': m.mode, 'size': m.size,
      'target': raw(m.linkname), 'sha256': body, 'owner': [m.uid, m.gid, m.uname, m.gname], 'mtime': m.mtime})
    if 'headers' in sys.argv: break
json.dump(members, sys.stdout)
`
/** The members as Python's tarfile reads them, all of root's and of second 1. */
function python(tar: Uint8Array, ...flags: string[]): Member[] {
  const output = execFileSync('python3', ['-c', reader, ...flags], { input: tar, maxBuffer: 2 ** 28 })
  const read = JSON.parse(output.toString()) as (Member & { owner: unknown; mtime: number })[]
  return read.map(({ owner, mtime, ...member }) => {
    assert.deepEqual({ owner, mtime }, { owner: [0, 0, '', ''], mtime: 1 })
    return member
  })
}

/** The members as they lie on disk after GNU tar has unpacked them. */
function gnuTar(tar: Uint8Array, path: string, locale: string): Member[] {
  const out = fs.mkdtempSync(join(directory, 'out-'))
  const options = { input: tar, env: { ...process.env, LC_ALL: locale } }
  execFileSync('tar', ['-xpf', '-', '--numeric-owner', '-C', out], options)
  const walk = (onDisk: string, name: string): Member[] => {
    const stat = fs.lstatSync(raw(onDisk))
    assert.equal(stat.mtimeMs, 1000, name)
    const member = { path: name, mode: stat.mode & 0o7777, size: 0, target: '', sha256: '' }
    if (stat.isSymbolicLink())
      return [{ ...member, type: '2', target: fs.readlinkSync(raw(onDisk), { encoding: 'latin1' }) }]
    if (stat.isFile()) {
      const sha256 = hash('sha256', fs.readFileSync(raw(onDisk)))
      return [{ ...member, type: '0', size: stat.size, sha256 }]
    }
    const names = fs.readdirSync(raw(onDisk), { encoding: 'latin1' }).sort()
    const below = names.flatMap((child) => walk(`${onDisk}/${child}`, `${name}/${child}`))
    return [{ ...member, type: '5' }, ...below]
  }
  return walk(`${out}/${path}`, path)
}

let directory: string
before(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'nixery-archive-'))
})
after(() => {
  execFileSync('chmod', ['-R', 'u+w', directory]) // what was unpacked is read-only, as in a store
  fs.rmSync(directory, { recursive: true })
})

describe('an archived store path', () => {
  const sizes = [0, 1, 511, 512, 513, blockSize - 512, blockSize, 3 * 2 ** 20]
  const lengths = [1, 99, 100, 101, 154, 155, 156, 254, 255]
  const deep = (levels: number, name: string): Tree =>
    levels === 0 ? file('deep') : dir({ [name]: deep(levels - 1, name) })
  const modes = [0o400, 0o444, 0o555, 0o644, 0o700, 0o755, 0o777, 0o100, 0o011]

  const rows: [what: string, tree: Tree][] = [
    ['a file alone', file('alone')],
    ['a symbolic link alone', link('/elsewhere')],
    ['empty directories', dir({ a: dir(), b: dir({ c: dir() }) })],
    [
      'files of sizes around records and blocks',
      dir(Object.fromEntries(sizes.map((size) => [`f${size}`, file(Buffer.alloc(size, `${size}`))]))),
    ],
    [
      'files of any mode: executable by their owner, or not',
      dir(Object.fromEntries(modes.map((mode) => [`m${mode}`, file('x', mode)]))),
    ],
    [
      'symbolic links, whether they lead anywhere',
      dir({ here: file(), up: link('../up'), root: link('/'), loop: link('loop'), ok: link('here') }),
    ],
    [
      'link targets around 100 bytes and far longer',
      dir(Object.fromEntries([99, 100, 101, 155, 256, 3000].map((n) => [`t${n}`, link('t'.repeat(n))]))),
    ],
    ['long names', named(...lengths.map((length) => 'n'.repeat(length)))],
    ['long names of directories', dir(Object.fromEntries(lengths.map((n) => ['d'.repeat(n), named('x')])))],
    ['long names of links', dir(Object.fromEntries(lengths.map((n) => ['l'.repeat(n), link('x'.repeat(n))])))],
    ['a deep path', deep(150, 'level')],
    ['a deep path of long names', deep(10, 'x'.repeat(250))],
    ['names in Unicode', named(...['ä', 'a\u0308', '漢字', '🐋', 'אב', 'é'.repeat(120)].map(utf8))],
    ['link targets in Unicode', dir({ a: link(utf8('ä/漢字')), b: link(utf8('🐋'.repeat(60))) })],
    ['names that are not UTF-8', named('\xff', 'a\xe4b', '\xc3', '\xed\xa0\x80', '\xfe'.repeat(200))],
    ['link targets that are not UTF-8', dir({ a: link('\xff/\xe4'), b: link('\x80'.repeat(150)) })],
    ['names with spaces and line ends', named(' ', 'a b', ' a', 'a ', 'a\nb', '\n', '\r', '\t')],
    ['names with signs', named('-x', '--help', '*', '\\n', '"', "'", 'a=b', '12 path=x', '\x01', '\x7f')],
    ['names whose order is that of bytes', dir({ b: file(), B: file(), a: named('z'), 'a.': file(), 'a-': file() })],
  ]
  for (const [what, tree] of rows) {
    it(`is read back whole by tarfile and GNU tar: ${what}`, () => {
      const path = join(fs.mkdtempSync(join(directory, 'in-')), 'package')
      make(path, tree)
      const tar = tarOfPath(path)
      const expected = members(path.slice(1), tree)
      assert.deepEqual(python(tar), expected)
      for (const locale of ['C', 'C.UTF-8']) assert.deepEqual(gnuTar(tar, path.slice(1), locale), expected)
    })
  }
})
