/** The tests that every implementation of `Listings` must pass: the store of this machine, and its substitutes. */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { dir, file, link, utf8, type Tree } from '../layers/testing.ts'
import type { Listings } from './contents.ts'

const names = ['a', 'A', 'a b', '-', utf8('ä🐋'), '\xff\xfe', '\xed\xa0\x80', 'n'.repeat(255)]
const elf = (machine: number): Buffer => {
  const header = Buffer.alloc(64)
  header.write('\x7fELF', 'latin1')
  header.writeUInt16LE(machine, 18)
  return header
}
const tree = dir({
  names: dir(Object.fromEntries(names.map((name) => [name, file()]))),
  empty: dir(),
  link: link('../\xff/x'),
  loop: link('loop'),
  bin: dir({
    script: file('#!/bin/sh'),
    amd64: file(elf(62)),
    arm64: file(elf(183)),
    riscv: file(elf(243)),
    short: file('\x7fELF'),
    text: file('text of more than twenty bytes'),
  }),
})

/** @param open creates trees by name below a folder that represents `/nix/store` */
export function describeListings(
  what: string,
  open: (trees: ReadonlyMap<string, Tree>) => { readonly listings: Listings; readonly store: string },
): void {
  describe(what, () => {
    let listings: Listings
    let path: string
    let store: string
    before(() => {
      const trees = new Map([
        ['tree', tree],
        ['file', file()],
        ['link', link('tree')],
      ])
      const opened = open(trees)
      ;({ listings, store } = opened)
      path = `${store}/tree`
    })

    it('returns the entry at a path, without following links', async () => {
      assert.deepEqual(await listings.look(path), { kind: 'directory' })
      assert.deepEqual(await listings.look(`${path}/empty`), { kind: 'directory' })
      assert.deepEqual(await listings.look(`${path}/link`), { kind: 'symlink', target: '../\xff/x' })
      assert.deepEqual(await listings.look(`${path}/loop`), { kind: 'symlink', target: 'loop' })
      assert.deepEqual(await listings.look(`${store}/file`), { kind: 'file', program: undefined })
      assert.deepEqual(await listings.look(`${store}/link`), { kind: 'symlink', target: 'tree' })
    })

    it('detects the kind of a program', async () => {
      const found = await Promise.all(
        ['script', 'amd64', 'arm64', 'riscv', 'short', 'text'].map((name) =>
          listings.look(`${path}/bin/${name}`),
        ),
      )
      assert.deepEqual(
        found.map((one) => (one?.kind === 'file' ? one.program : assert.fail())),
        ['script', 'amd64', 'arm64', undefined, undefined, undefined],
      )
    })

    it('reads the requested part of a file', async () => {
      const text = `${path}/bin/text`
      assert.equal(String(await listings.read(text, 4)), 'text')
      assert.equal(String(await listings.read(text, 1000)), 'text of more than twenty bytes')
      assert.equal(String(await listings.read(`${store}/file`, 1000)), '')
      await assert.rejects(listings.read(`${path}/bin`, 4))
      await assert.rejects(listings.read(`${path}/none`, 4))
    })

    it('returns nothing for a missing path', async () => {
      const nowhere = ['/none', '/empty/x', '/names/a/x', `/${'x'.repeat(256)}`]
      for (const where of nowhere) assert.equal(await listings.look(path + where), undefined, where)
      assert.equal(await listings.look(`${store}/none`), undefined)
    })

    it('returns names as byte strings', async () => {
      const listed = await listings.list(`${path}/names`)
      assert.deepEqual(listed.toSorted(), names.toSorted())
      for (const name of listed) {
        assert.deepEqual(await listings.look(`${path}/names/${name}`), { kind: 'file', program: undefined })
      }
      assert.deepEqual(await listings.list(`${path}/empty`), [])
    })
  })
}
