import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareVersions, upstreamVersion } from './debian-version.ts'

test('versions sort by Debian policy', () => {
  const ascending = [
    ['1.0~rc1-1', '1.0-1'],
    ['1.0-1', '1.0-1+b1'],
    ['1.0-1', '1.0-2'],
    ['1.0', '1.0-1'],
    ['1.9', '1.10'],
    ['9.9-9', '1:0.1-1'],
    ['7.88.1-10+deb12u8', '7.88.1-10+deb12u12'],
    ['1.0a', '1.0+'],
  ] as const
  for (const [lower, higher] of ascending) {
    assert.ok(compareVersions(lower, higher) < 0, `${lower} < ${higher}`)
    assert.ok(compareVersions(higher, lower) > 0, `${higher} > ${lower}`)
    assert.equal(compareVersions(lower, lower), 0)
  }
})

test('upstream versions carry no marks of Debian', () => {
  const cases = [
    ['1:1.35.0-4+deb12u1+b1', '1.35.0'],
    ['20230311+deb12u1', '20230311'],
    ['1:1.2.13.dfsg-1', '1.2.13'],
    ['2:3.8.1-2', '3.8.1'],
    ['6.4', '6.4'],
    ['2.4+20151223.gitfa8646d.1-2+b2', '2.4+20151223.gitfa8646d.1'],
    ['1.0~rc1-1', '1.0-rc1'],
  ] as const
  for (const [version, upstream] of cases) assert.equal(upstreamVersion(version), upstream)
})
