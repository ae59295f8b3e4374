import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { chooseForm, chooseIndexForm } from './accept.ts'
import { mediaTypes, type ManifestForm } from './oci.ts'

const oci = mediaTypes.oci.manifest
const docker = mediaTypes.docker.manifest
const index = 'application/vnd.oci.image.index.v1+json'
const list = 'application/vnd.docker.distribution.manifest.list.v2+json'

describe('chooseIndexForm', () => {
  const rows: [what: string, accept: string | undefined, form: ManifestForm | undefined][] = [
    ['no header', undefined, undefined],
    ['anything', '*/*', undefined],
    ['manifests alone', `${oci}, ${docker}`, undefined],
    ['OCI’s index', `${docker}, ${index}`, 'oci'],
    ['Docker’s list', `${list};q=0.5, ${oci}`, 'docker'],
    ['both', `${list}, ${index};q=0.1`, 'oci'],
    ['OCI’s index with q=0', `${index};q=0, ${list}`, 'docker'],
    ['both with q=0', `${index};q=0,${list};q=0.0`, undefined],
  ]
  for (const [what, accept, form] of rows) {
    it(`gives ${form ?? 'none'} for ${what}`, () => assert.equal(chooseIndexForm(accept), form))
  }
})

describe('chooseForm', () => {
  const rows: [what: string, accept: string | undefined, form: ManifestForm][] = [
    ['no header', undefined, 'docker'],
    ['an empty header', '', 'docker'],
    ['anything', '*/*', 'docker'],
    ['any application', 'application/*', 'docker'],
    ['something else', 'text/html, application/json;q=0.9', 'docker'],
    ['Docker’s type', docker, 'docker'],
    ['OCI’s type', oci, 'oci'],
    ['both, Docker’s first', `${docker}, ${oci}`, 'oci'],
    ['both, OCI’s first', `${oci},${docker}`, 'oci'],
    ['both, Docker’s preferred', `${docker};q=1.0, ${oci};q=0.5`, 'oci'],
    ['OCI’s index alone', index, 'docker'],
    ['lists alone', `${list},${index}`, 'docker'],
    ['OCI’s type with q=0', `${oci};q=0, ${docker}`, 'docker'],
    ['OCI’s type with q=0.000', `${oci} ; Q=0.000`, 'docker'],
    ['OCI’s type with q=0 and more', `${oci};q=0;x=y`, 'docker'],
    ['OCI’s type with q=0.1', `${oci};q=0.1`, 'oci'],
    ['Docker’s type with q=0', `${docker};q=0,${oci}`, 'oci'],
    ['another case', oci.toUpperCase(), 'oci'],
    ['spaces and parameters', ` ${docker} ,\t${oci} ; charset=utf-8 `, 'oci'],
    ['a longer type', `${oci}x`, 'docker'],
    ['a type inside another', `x${oci}`, 'docker'],
    ['all types that are known', `${oci}, ${list}, ${index}, application/json;q=0.5, ${docker}`, 'oci'],
    ['what containerd sends', `${docker}, ${list}, ${oci}, ${index}, */*`, 'oci'],
  ]
  for (const [what, accept, form] of rows) {
    it(`gives ${form} for ${what}`, () => assert.equal(chooseForm(accept), form))
  }

  it('does not depend on the order of types', () => {
    const types = [oci, docker, index, list, '*/*', `${oci};q=0.5`, `${docker};q=0`, 'text/html']
    fc.assert(
      fc.property(fc.shuffledSubarray(types), (some) => {
        assert.equal(chooseForm(some.join(', ')), chooseForm(some.toSorted().join(',')))
      }),
    )
  })

  it('gives one or the other, whatever the header is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (accept) => {
        assert.equal(chooseForm(accept), 'docker')
        assert.equal(chooseForm(`${accept.replaceAll(';', '')},${oci}`), 'oci')
      }),
    )
  })
})
