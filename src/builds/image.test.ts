import assert from 'node:assert/strict'
import { it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { parseImage, type Image } from './image.ts'

it('reads images in the catalog, and ignores those of another format', () => {
  const part = { digest: digestOf('a'), size: 7 }
  const image: Image = { manifests: { docker: part, oci: part }, config: part, layers: [part] }
  assert.deepEqual(parseImage(JSON.stringify(image)), image)
  // Fields added by later versions are ignored.
  const later = { ...image, annotations: {}, manifests: { ...image.manifests, soci: part } }
  assert.deepEqual(parseImage(JSON.stringify(later)), image)
  for (const text of ['', '7', 'null', '{}', '{"form":3}', JSON.stringify({ ...image, layers: [{}] })]) {
    assert.equal(parseImage(text), undefined, text)
  }
})
