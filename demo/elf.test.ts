import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { readElf } from './elf.ts'

test("the running Node's own program", { skip: process.platform !== 'linux' }, () => {
  const found = readElf(readFileSync(process.execPath))
  assert.match(found?.interpreter ?? '', /\/ld-linux-/)
  assert.ok(found?.needed.includes('libc.so.6'), String(found?.needed))
  assert.equal(found?.soname, undefined)
})

test('files that are not ELF files, and truncated ones', { skip: process.platform !== 'linux' }, () => {
  assert.equal(readElf(Buffer.from('#!/bin/sh\n')), undefined)
  assert.equal(readElf(Buffer.alloc(0)), undefined)
  const program = readFileSync(process.execPath)
  fc.assert(
    fc.property(fc.nat({ max: 4096 }), (length) => {
      // It must not throw.
      readElf(program.subarray(0, length))
    }),
  )
})
