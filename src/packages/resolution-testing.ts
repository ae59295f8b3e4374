import { hash } from 'node:crypto'
import { parseStorePath } from '../image/store-path.ts'
import type { Resolution, ResolvedPackage } from './resolution.ts'

export const storePathOf = (name: string) =>
  parseStorePath(`/nix/store/${hash('sha256', name).replaceAll('e', 'g').slice(0, 32)}-${name}`)

// Possible meanings of names, for tests.

export const found = (
  attribute: string,
  name = attribute,
  more: Partial<ResolvedPackage> = {},
): ResolvedPackage => ({
  status: 'package',
  attribute,
  package: attribute,
  drvPath: storePathOf(`${name}.drv`),
  outputs: [{ output: 'out', outputPath: storePathOf(name) }],
  pname: name,
  version: '1',
  priority: 5,
  ...more,
})

export const missing = (...nearest: string[]): Resolution => ({ status: 'missing', nearest })
export const invalid = (reason: string): Resolution => ({ status: 'invalid', reason })
export const denied = (reason: string): Resolution => ({ status: 'denied', reason })
