import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { missingFeatures } from './missing-features.ts'

const drv = `/nix/store/${'a'.repeat(32)}-vm-test.drv`
const old = (required: string, system = 'x86_64-linux') =>
  `error: a '${system}' with features {${required}} is required to build '${drv}', but I am a 'x86_64-linux' with features {benchmark, big-parallel}`

describe('missingFeatures', () => {
  it('reads what each version of Nix says', () => {
    const expected = { derivation: 'vm-test', features: ['kvm', 'nixos-test'] }
    for (const text of [
      `before\n${old('big-parallel, kvm, nixos-test')}\nafter`,
      `error: Cannot build '${drv}'.\nReason: required system or feature not available\nRequired system: 'x86_64-linux' with features {kvm, nixos-test}\nCurrent system: 'x86_64-linux' with features {benchmark}`,
      `error: Cannot build '${drv}'.\n       Reason: missing system features\n       Required features: {kvm, nixos-test}\n       Available features: {benchmark}`,
    ])
      assert.deepEqual(missingFeatures(text), expected, text)
  })

  it('finds none where something else is missing', () => {
    for (const text of [
      old('', 'aarch64-linux'),
      old('kvm', 'aarch64-linux'),
      old('big-parallel'),
      'error: no',
    ])
      assert.equal(missingFeatures(text), undefined, text)
  })
})
