import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { chooseAnswer } from './accept.ts'
import { mediaTypes } from '../image/oci.ts'
import { anyString } from '../text/testing.ts'

const { manifest: oci, index } = mediaTypes.oci
const { manifest: docker, index: list } = mediaTypes.docker

type Answer = `${'oci' | 'docker'} ${'manifest' | 'index'}`
const answerTo = (accept: string | undefined, several: boolean): Answer => {
  const { kind, form } = chooseAnswer(accept, several)
  return `${form} ${kind}`
}

describe('chooseAnswer', () => {
  const rows: [what: string, accept: string | undefined, one: Answer, several: Answer][] = [
    ['no header', undefined, 'docker manifest', 'docker manifest'],
    ['an empty header', '', 'docker manifest', 'docker manifest'],
    ['anything', '*/*', 'docker manifest', 'docker manifest'],
    ['any application', 'application/*', 'docker manifest', 'docker manifest'],
    ['something else', 'text/html, application/json;q=0.9', 'docker manifest', 'docker manifest'],
    ['Docker’s type', docker, 'docker manifest', 'docker manifest'],
    ['OCI’s type', oci, 'oci manifest', 'oci manifest'],
    ['both, Docker’s first', `${docker}, ${oci}`, 'oci manifest', 'oci manifest'],
    ['both, OCI’s first', `${oci},${docker}`, 'oci manifest', 'oci manifest'],
    ['both, Docker’s preferred', `${docker};q=1.0, ${oci};q=0.5`, 'oci manifest', 'oci manifest'],
    ['OCI’s index alone', index, 'oci index', 'oci index'],
    ['Docker’s list alone', list, 'docker index', 'docker index'],
    ['both indexes alone', `${list},${index}`, 'oci index', 'oci index'],
    ['both indexes, OCI’s last and least', `${list}, ${index};q=0.1`, 'oci index', 'oci index'],
    ['OCI’s index with q=0, and Docker’s', `${index};q=0, ${list}`, 'docker index', 'docker index'],
    ['indexes with q=0', `${index};q=0,${list};q=0.0`, 'docker manifest', 'docker manifest'],
    ['an index or anything', `${index}, */*;q=0.1`, 'docker manifest', 'oci index'],
    ['an index or any application', `${list}, application/*`, 'docker manifest', 'docker index'],
    ['an index, but not anything', `${index}, */*;q=0`, 'oci index', 'oci index'],
    ['OCI’s index and Docker’s manifest', `${docker}, ${index}`, 'docker manifest', 'oci index'],
    ['Docker’s list and OCI’s manifest', `${list};q=0.5, ${oci}`, 'oci manifest', 'docker index'],
    ['both of OCI’s, as the conformance suite', `${index},${oci}`, 'oci manifest', 'oci index'],
    ['anything but Docker’s', `*/*, ${docker};q=0`, 'oci manifest', 'oci manifest'],
    ['anything but both', `*/*, ${docker};q=0, ${oci};q=0`, 'docker manifest', 'docker manifest'],
    ['OCI’s type with q=0', `${oci};q=0, ${docker}`, 'docker manifest', 'docker manifest'],
    ['OCI’s type with q=0.000', `${oci} ; Q=0.000`, 'docker manifest', 'docker manifest'],
    ['OCI’s type with q=0 and more', `${oci};q=0;x=y`, 'docker manifest', 'docker manifest'],
    ['OCI’s type with q=0.1', `${oci};q=0.1`, 'oci manifest', 'oci manifest'],
    ['Docker’s type with q=0', `${docker};q=0,${oci}`, 'oci manifest', 'oci manifest'],
    ['another case', oci.toUpperCase(), 'oci manifest', 'oci manifest'],
    ['spaces and parameters', ` ${docker} ,\t${oci} ; charset=utf-8 `, 'oci manifest', 'oci manifest'],
    ['a longer type', `${oci}x`, 'docker manifest', 'docker manifest'],
    ['a type inside another', `x${oci}`, 'docker manifest', 'docker manifest'],
    ['all types that are known', [oci, list, index, docker].join(', '), 'oci manifest', 'oci index'],
    ['what containerd sends', [docker, list, oci, index, '*/*'].join(', '), 'oci manifest', 'oci index'],
  ]
  for (const [what, accept, one, several] of rows) {
    it(`gives ${one} for one platform, ${several} for several, to who accepts ${what}`, () => {
      assert.equal(answerTo(accept, false), one)
      assert.equal(answerTo(accept, true), several)
    })
  }

  it('does not depend on the order of types', () => {
    const types = [oci, docker, index, list, '*/*', `${oci};q=0.5`, `${docker};q=0`, 'text/html']
    fc.assert(
      fc.property(fc.shuffledSubarray(types), fc.boolean(), (some, several) => {
        assert.equal(answerTo(some.join(', '), several), answerTo(some.toSorted().join(','), several))
      }),
    )
  })

  it('gives one or the other, whatever the header is', () => {
    fc.assert(
      fc.property(anyString(), fc.boolean(), (accept, several) => {
        assert.equal(answerTo(accept, several), 'docker manifest')
        assert.equal(answerTo(`${accept.replaceAll(';', '')},${oci}`, several), 'oci manifest')
      }),
    )
  })
})
