import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { annotationsOf, commitsOf, labelsOf, urlLabel, type LabelledOutput } from './labels.ts'
import { parseStorePath } from './store-path.ts'

const output = (name: string, more: Partial<LabelledOutput> = {}): LabelledOutput => {
  const suffix = more.output === undefined || more.output === 'out' ? '' : `-${more.output}`
  return {
    drvPath: parseStorePath(`/nix/store/${'d'.repeat(32)}-${name}.drv`),
    output: 'out',
    outputPath: parseStorePath(`/nix/store/${'a'.repeat(32)}-${name}${suffix}`),
    implied: false,
    ...more,
  }
}
const labelsFor = (...outputs: LabelledOutput[]) =>
  Object.fromEntries(
    Object.entries(labelsOf(outputs)).map(([name, value]) => [name.replace(/.*\./, ''), value]),
  )

describe('labelsOf', () => {
  const cacert = output('nss-cacert-3.98', { implied: true, license: 'MPL-2.0' })
  const hello = output('hello-2.12', { license: 'GPL-3.0-or-later' })
  const either = output('either-1', { license: 'MIT OR ISC' })

  const rows: [what: string, outputs: LabelledOutput[], labels: Record<string, string>][] = [
    [
      'one package, without those of every image',
      [cacert, hello],
      { title: 'hello', version: '2.12', licenses: 'GPL-3.0-or-later' },
    ],
    [
      'the packages of every image, if there are no others',
      [cacert],
      { title: 'nss-cacert', version: '3.98', licenses: 'MPL-2.0' },
    ],
    [
      'several, sorted, without a version',
      [hello, either, cacert],
      { title: 'either, hello', licenses: 'GPL-3.0-or-later AND (MIT OR ISC)' },
    ],
    ['one choice without brackets', [either], { title: 'either', version: '1', licenses: 'MIT OR ISC' }],
    [
      'several outputs as one package',
      [output('inbin-1'), output('inbin-1', { output: 'bin' })],
      { title: 'inbin', version: '1' },
    ],
    ['no licenses if one is not known', [hello, output('secret-1')], { title: 'hello, secret' }],
    ['no version if there is none', [output('script')], { title: 'script' }],
    [
      'a name with digits and dashes',
      [output('python3.11-requests-2.28.1')],
      { title: 'python3.11-requests', version: '2.28.1' },
    ],
    ['nothing without packages', [], {}],
  ]
  for (const [what, outputs, labels] of rows) {
    it(`describes ${what}, in any order`, () => {
      assert.deepEqual(labelsFor(...outputs), labels)
      assert.deepEqual(labelsFor(...outputs.toReversed()), labels)
    })
  }

  it('keeps labels short', () => {
    const many = Array.from({ length: 60 }, (_, index) =>
      output(`a-long-name-of-a-package-${String.fromCharCode(97 + (index % 26))}${'x'.repeat(index)}`, {
        license: `LicenseRef-${'long'.repeat(10)}-${index}`,
      }),
    )
    const { title = '', ...others } = labelsFor(...many)
    assert.match(title, /^a-long-name-of-a-package-a, .* and \d+ more$/)
    assert.ok(title.length <= 250)
    assert.deepEqual(others, {})
  })
})

it('annotations are OCI’s labels, and no others', () => {
  const labels = { ...labelsOf([output('hello-2')]), ...urlLabel('https://example.org/'), other: 'x' }
  assert.deepEqual(annotationsOf(labels), {
    'org.opencontainers.image.title': 'hello',
    'org.opencontainers.image.version': '2',
    'org.opencontainers.image.url': 'https://example.org/',
  })
  assert.deepEqual(annotationsOf(), {})
  assert.deepEqual(urlLabel(undefined), {})
})

it("labels name the commits of packages from other revisions than the image's", () => {
  const packages = [{ attribute: 'git' }, { attribute: 'python3', commit: 'c'.repeat(40) }]
  assert.deepEqual(commitsOf(packages), { 'dev.nixery.revision.python3': 'c'.repeat(40) })
  assert.deepEqual(commitsOf([{ attribute: 'git' }]), {})
})
