import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openVersionIndex } from '../catalog/versions.ts'
import { NixeryError } from '../errors.ts'
import { parseStorePath } from '../image/store-path.ts'
import type { Resolution } from '../packages/resolution.ts'
import type { PinnedSet } from '../packages/source.ts'
import { resolveVersions, versionsIn } from './resolve-versions.ts'

const path = (name: string) => parseStorePath(`/nix/store/${'a'.repeat(32)}-${name}`)
const packageOf = (version: string): Resolution => ({
  status: 'package',
  attribute: 'tool',
  package: 'tool',
  drvPath: path(`tool-${version}.drv`),
  outputs: [{ output: 'out', outputPath: path(`tool-${version}`) }],
  pname: 'tool',
  version,
  priority: 5,
})
const missing: Resolution = { status: 'missing', nearest: ['tools'] }
const denied: Resolution = { status: 'denied', reason: 'is not served' }
const pinnedAt = (commit: string): PinnedSet => ({
  set: { folder: '/' },
  revision: commit,
  unchanged: async () => true,
})
const commit = (digit: number) => String(digit).repeat(40)

/** Resolves `tool--VERSION` where the pinned revision and others have these. */
async function resolve(
  name: string,
  here: Resolution | undefined,
  there: readonly (readonly [version: string, found: Resolution | NixeryError])[],
) {
  const index = openVersionIndex(':memory:', assert.fail)
  index.add(
    'repository',
    there.map(([version], at) => ({ attribute: 'tool', version, commit: commit(at), at })),
  )
  const tried: string[] = []
  const resolutions = new Map<string, Resolution>([[name, missing]])
  if (here) resolutions.set('tool', here)
  const pin = async (of: string) => {
    tried.push(there[Number(of[0])]?.[0] ?? '')
    return pinnedAt(of)
  }
  const commits = await resolveVersions(
    versionsIn([name]),
    resolutions,
    { index, source: 'repository', pin },
    async (_, pinned) => {
      const found = there[Number(pinned.revision[0])]?.[1]
      if (found instanceof NixeryError) throw found
      return found
    },
  )
  index.close()
  const found = resolutions.get(name)
  return { found, tried, commit: found?.status === 'package' ? commits.get(found.drvPath) : undefined }
}

describe('names with versions', () => {
  it('mean the newest matching version, of the pinned revision or of a commit', async () => {
    const there = [
      ['1.2', packageOf('1.2')],
      ['1.10', packageOf('1.10')],
      ['2.0', packageOf('2.0')],
    ] as const
    for (const [name, here, version, of] of [
      ['tool--1', packageOf('2.1'), '1.10', commit(1)],
      ['tool--1.2', packageOf('2.1'), '1.2', commit(0)],
      ['tool--2', packageOf('2.1'), '2.1', undefined],
      ['tool--2.0', packageOf('2.0'), '2.0', undefined],
      ['tool--1', missing, '1.10', commit(1)],
      ['tool--1', { status: 'invalid', reason: 'does not evaluate' }, '1.10', commit(1)],
    ] as const) {
      const { found, commit: found_ } = await resolve(name, here, there)
      assert.equal(found?.status === 'package' && found.version, version, name)
      assert.equal(found_, of, name)
    }
  })

  it('are denied like the package, in the pinned revision and in others', async () => {
    const { found, tried } = await resolve('tool--1', denied, [['1.2', packageOf('1.2')]])
    assert.deepEqual([found, tried], [denied, []])
    const other = await resolve('tool--1', packageOf('2.1'), [['1.2', denied]])
    assert.equal(other.found?.status, 'denied')
  })

  it('skip only commits that are gone or have another version', async () => {
    const gone = new NixeryError('MANIFEST_UNKNOWN', 'no ref reaches it')
    const { found, tried } = await resolve('tool--1', missing, [
      ['1.2', packageOf('1.2')],
      ['1.3', packageOf('1.2')],
      ['1.4', gone],
    ])
    assert.equal(found?.status === 'package' && found.version, '1.2')
    assert.deepEqual(tried, ['1.4', '1.3', '1.2'])
    const away = new NixeryError('SOURCE_UNREACHABLE', 'later')
    await assert.rejects(
      resolve('tool--1', missing, [
        ['1.2', packageOf('1.2')],
        ['1.4', away],
      ]),
      away,
    )
  })

  it('that match nothing are reported as missing, with suggestions', async () => {
    const there = ['1.0', '1.10', '2.0', '3.0'].map((version) => [version, packageOf(version)] as const)
    const { found } = await resolve('tool--1.5', packageOf('3.1'), there)
    assert.deepEqual(found, { status: 'missing', nearest: ['tool--1.0', 'tool--1.10', 'tool--3.1'] })
    assert.deepEqual((await resolve('tool--1', missing, [])).found, missing)
  })

  it('name the version and commit of a package that does not evaluate', async () => {
    const { found } = await resolve('tool--1', missing, [
      ['1.2', { status: 'invalid', reason: 'does not evaluate' }],
    ])
    assert.deepEqual(found, {
      status: 'invalid',
      reason: 'does not evaluate (version 1.2, commit 000000000000)',
    })
  })
})
