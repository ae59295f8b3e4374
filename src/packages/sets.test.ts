import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { parseImageName } from '../image/name.ts'
import { amd64 } from '../image/platform.ts'
import { createSetWords } from './set-words.ts'
import { oneSet, severalSets } from './sets.ts'
import type { PackageSource, PinnedSet } from './source.ts'

const sourceOf = (name: string, pin?: PackageSource['pin']): PackageSource => {
  const pinned = new Map<string, PinnedSet>()
  const pinOf = (tag: string) => {
    const known = pinned.get(tag) ?? {
      set: { folder: `/${name}` },
      revision: `${name}-${tag}`,
      unchanged: async () => true,
    }
    pinned.set(tag, known)
    return known
  }
  return {
    description: name,
    pin: pin ?? (async (tag) => pinOf(tag)),
    ...(!pin && { current: pinOf }),
    usable: async () => {},
    tags: async () => [`tag-of-${name}`],
  }
}
const unreachable = () => Promise.reject(new NixeryError('SOURCE_UNREACHABLE', 'it is gone'))
const vocabulary = { sets: new Set(['stable', 'unstable', 'tools']) }
const requestFor = (name: string, tag = 'latest') => parseImageName(name, tag, vocabulary)

/** Sets, the first of which also has these packages. */
function open(packages: readonly string[], first = sourceOf('stable'), tools = sourceOf('tools')) {
  const lookups: string[] = []
  const warnings: string[] = []
  const words = createSetWords({
    source: first,
    patience: 30,
    async hasPackage(word) {
      lookups.push(word)
      return packages.includes(word)
    },
    warn: (line) => warnings.push(line),
  })
  const sources = new Map([
    ['stable', first],
    ['unstable', sourceOf('unstable')],
    ['tools', tools],
  ])
  return { sets: severalSets(sources, words), lookups, warnings }
}

describe('several package sets', () => {
  it('are pinned at the tag of the name, in the set that it names', async () => {
    const { sets, lookups } = open([])
    for (const [name, revision, set] of [
      ['git', 'stable-v1', 'stable'],
      ['stable/git', 'stable-v1', 'stable'],
      ['unstable/git', 'unstable-v1', 'unstable'],
      ['shell/tools/git', 'tools-v1', 'tools'],
    ] as const) {
      const request = requestFor(name, 'v1')
      const pinnedRequest = await sets.pin(request)
      assert.equal(pinnedRequest.request, request)
      assert.deepEqual([pinnedRequest.pinned.revision, pinnedRequest.pinned.name], [revision, set], name)
      assert.deepEqual(sets.current(request), pinnedRequest)
    }
    assert.deepEqual(lookups, ['stable', 'unstable', 'tools'], 'once for each revision of the default set')
    assert.deepEqual(await (await sets.sourceOf(requestFor('tools/git'))).tags(), ['tag-of-tools'])
  })

  it('are hidden by packages of the default set', async () => {
    const { sets, warnings } = open(['tools'])
    assert.equal(sets.current(requestFor('tools/git')), undefined, 'it is not known yet')
    const { request, pinned } = await sets.pin(requestFor('tools/git', 'v1'))
    assert.deepEqual([pinned.revision, pinned.name], ['stable-v1', 'stable'])
    assert.deepEqual([request.packages, request.set], [['git', 'tools'], undefined])
    assert.equal(sets.current(requestFor('tools/git', 'v1'))?.pinned, pinned)
    await sets.pin(requestFor('tools/zip'))
    assert.equal(warnings.length, 1)
    assert.match(warnings.join(), /has a package `tools`/)
    assert.equal((await sets.pin(requestFor('unstable/git'))).pinned.name, 'unstable')
  })

  it('work while the default set fails or does not respond', async () => {
    for (const pin of [unreachable, () => new Promise<never>(() => {})]) {
      const { sets } = open(['tools'], sourceOf('stable', pin))
      assert.equal((await sets.pin(requestFor('tools/git'))).pinned.name, 'tools')
    }
    const { sets } = open([], sourceOf('stable', unreachable))
    await assert.rejects(sets.pin(requestFor('git')), { message: 'package set stable: it is gone' })
  })

  it('keep the meaning of a name when the default set starts to fail', async () => {
    let fails = false
    const stable = sourceOf('stable')
    const { sets } = open(
      ['tools'],
      sourceOf('stable', (...given) => (fails ? unreachable() : stable.pin(...given))),
    )
    assert.deepEqual((await sets.pin(requestFor('tools/git'))).request.packages, ['git', 'tools'])
    fails = true
    await assert.rejects(sets.pin(requestFor('tools/git')), { message: /^package set stable: / })
  })

  it('fail alone', async () => {
    const { sets } = open([], undefined, sourceOf('tools', unreachable))
    await assert.rejects(sets.pin(requestFor('tools/git')), { message: 'package set tools: it is gone' })
    assert.equal((await sets.pin(requestFor('git'))).pinned.name, 'stable')
  })
})

describe('a single package set', () => {
  it('has no name', async () => {
    const sets = oneSet(sourceOf('only'))
    const request = parseImageName('git', 'v1')
    const { pinned } = await sets.pin(request)
    assert.deepEqual([pinned.revision, pinned.name, request.platform], ['only-v1', undefined, amd64])
  })
})
