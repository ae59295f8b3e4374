import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import type { LookUp, LookupResult } from './evaluate.ts'
import { needOfStore } from './store-need.ts'
import { evaluateStoreless } from './storeless.ts'

const failed = (message: string): LookupResult => ({ status: 'failed', message, lasting: false })
const good: LookupResult = { status: 'other', path: ['good'], type: 'set' }
const notValid = "error: path '/nix/store/x.drv' is not valid"
const lookUp = (name: string, more: Partial<LookUp> = {}): LookUp => ({
  set: { folder: '/set' },
  system: 'x86_64-linux',
  attributes: [[name]],
  ...more,
})

/** Evaluations of names: `needy` needs a store, and all names do while `isNeedy`. */
function open({ isNeedy = false } = {}) {
  const calls: string[] = []
  const notes: string[] = []
  const storeless = evaluateStoreless(
    {
      async evaluate({ attributes, storeless: isStoreless = false, alone = false }) {
        const name = attributes.join()
        calls.push(`${name}${isStoreless ? ' storeless' : ''}${alone ? ' alone' : ''}`)
        if (isNeedy && isStoreless)
          throw new NixeryError('SOURCE_INVALID', `it does not evaluate:\n${notValid}`)
        if (name === 'slow') throw new NixeryError('EVALUATION_TIMEOUT', 'slow')
        if (name === 'broken') return [failed('error: broken')]
        return [name === 'needy' && isStoreless ? failed(notValid) : good]
      },
      evaluateImage: async ({ storeless: isStoreless = false }) =>
        isStoreless ? { failed: notValid } : { names: [] },
      listVersions: async () => ({ versions: [], failed: [] }),
    },
    '/store',
    (line) => notes.push(line),
  )
  return { calls, notes, storeless }
}
const decided = 'evaluation writes nothing to the Nix store'
const changed =
  "evaluation needs a store, and writes to /store from now on: path '/nix/store/x.drv' is not valid"

describe('evaluation of a set without the Nix store', () => {
  it('is decided by the first lookup, and changed once when a later one needs a store', async () => {
    const { calls, notes, storeless } = open()
    for (const name of ['good', 'broken', 'good', 'needy', 'needy', 'good'])
      assert.notEqual((await storeless.evaluate(lookUp(name), {}))[0], undefined)
    assert.deepEqual(calls, [
      'good storeless alone',
      'broken storeless',
      'good storeless',
      'needy storeless',
      'needy',
      'needy',
      'good',
    ])
    assert.deepEqual(notes, [decided, changed])
  })

  it('is decided for the set as a whole where it does not evaluate otherwise', async () => {
    const { calls, notes, storeless } = open({ isNeedy: true })
    for (const name of ['good', 'good']) assert.deepEqual(await storeless.evaluate(lookUp(name), {}), [good])
    assert.deepEqual(calls, ['good storeless alone', 'good', 'good'])
    assert.deepEqual(notes, [changed])
  })

  it('is not changed by a package that may not build something, or by other failures', async () => {
    const { calls, notes, storeless } = open()
    await assert.rejects(storeless.evaluate(lookUp('slow'), {}), /slow/)
    assert.deepEqual(notes, [])
    await storeless.evaluate(lookUp('needy', { importFromDerivation: false }), {})
    await storeless.evaluate(lookUp('good'), {})
    assert.deepEqual(calls.slice(1), ['needy storeless alone', 'needy', 'good storeless alone'])
    assert.deepEqual(notes, [decided])
  })

  it('writes derivations that Nix has to build, in a separate process', async () => {
    const { calls, notes, storeless } = open()
    await storeless.evaluate(lookUp('good', { instantiated: true }), {})
    assert.deepEqual([calls, notes], [['good alone'], []])
  })

  it('is changed by a recipe, too', async () => {
    const { notes, storeless } = open()
    const image = { set: { folder: '/set' }, system: 'x86_64-linux', image: undefined }
    assert.deepEqual(await storeless.evaluateImage(image, {}), { names: [] })
    assert.deepEqual(notes, [changed])
  })
})

describe('needOfStore', () => {
  it('knows what versions of Nix say', () => {
    const table: [message: string, isNeed: boolean][] = [
      [notValid, true],
      ["error: path 'k78yb8am9dqmxvbc5qvlr129s2yji76y-plain.drv' is not valid", true], // 2.34
      ["error: operation 'addToStore' is not supported by store 'dummy'", true],
      ["error: operation 'addToStoreFromDump' is not supported by store 'dummy://'", true], // 2.34
      [
        "error: cannot build '/nix/store/x.drv^out' during evaluation because the option 'allow-import-from-derivation' is disabled",
        true,
      ],
      ["error: attribute 'x' missing", false],
      ["error: path '/nix/store/x' is not in the Nix store", false],
      ['error: invalid store path', false],
    ]
    for (const [message, isNeed] of table) assert.equal(needOfStore(message) !== undefined, isNeed, message)
  })
})
