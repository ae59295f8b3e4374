import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseNarinfo } from './narinfo.ts'
import { fingerprintOf, isSigned, parseTrustedKeys } from './signature.ts'
import { createSigner, pathOf } from './testing.ts'

/** As written and signed by Nix 2.8. */
const whole = `StorePath: /nix/store/dgcbyj3296nr4sggnszvgcc7n8dblcbd-zlib-1.2.13
URL: nar/0yx6hxhbmckcrjl4fr28jb12dkjxxiy1r63ff5kx0h2w2wxsnd0l.nar.zst
Compression: zstd
FileHash: sha256:0yx6hxhbmckcrjl4fr28jb12dkjxxiy1r63ff5kx0h2w2wxsnd0l
FileSize: 1
NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
NarSize: 100
References: dgcbyj3296nr4sggnszvgcc7n8dblcbd-zlib-1.2.13 x8n6hiq7mmngkf1lfqb4llq587mbifdf-glibc-2.36
Deriver: yn848lsn3i7337v150v0sx9043s072f4-zlib-1.2.13.drv
`
const without = (name: string) => whole.replace(new RegExp(`^${name}: .*\n`, 'm'), '')
const withLine = (name: string, value: string) => without(name) + `${name}: ${value}\n`
const parsed = (text: string) => {
  const narinfo = parseNarinfo(text)
  if ('invalid' in narinfo) throw new Error(narinfo.invalid)
  return narinfo
}

describe('parseNarinfo', () => {
  it('parses the format of Nix', () => {
    assert.deepEqual(parsed(whole), {
      storePath: '/nix/store/dgcbyj3296nr4sggnszvgcc7n8dblcbd-zlib-1.2.13',
      url: 'nar/0yx6hxhbmckcrjl4fr28jb12dkjxxiy1r63ff5kx0h2w2wxsnd0l.nar.zst',
      compression: 'zstd',
      fileHash: 'sha256-FDSrOxdcQNBncW6YHHzsXc4mwpJIZEeozGyyumCHpns=',
      fileSize: 1,
      narHash: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
      narSize: 100,
      references: [
        '/nix/store/dgcbyj3296nr4sggnszvgcc7n8dblcbd-zlib-1.2.13',
        '/nix/store/x8n6hiq7mmngkf1lfqb4llq587mbifdf-glibc-2.36',
      ],
      signatures: [],
      contentAddress: undefined,
    })
  })

  it("uses Nix's defaults for omitted fields", () => {
    assert.deepEqual(parsed(without('References')).references, [])
    assert.equal(parsed(without('Compression')).compression, 'bzip2')
    assert.equal(parsed(without('FileHash')).fileHash, undefined)
    assert.equal(parsed(withLine('Unknown', 'x: y')).narSize, 100)
    const twice = withLine(
      'References',
      `${pathOf('b').slice(11)} ${pathOf('a').slice(11)} ${pathOf('b').slice(11)}`,
    )
    assert.deepEqual(parsed(twice).references, [pathOf('a'), pathOf('b')].sort())
  })

  const namesOf = (count: number) =>
    Array.from({ length: count }, (_, index) => `${String(index).padStart(32, '0')}-x`).join(' ')

  it('reads as many references and signatures as a cache may have, and ignores others', () => {
    assert.equal(parsed(withLine('References', namesOf(10_000))).references.length, 10_000)
    const [sig, short] = [64, 63].map((size) => `Sig: a:${Buffer.alloc(size).toString('base64')}\n`)
    assert.equal(parsed(`${whole}${short}${sig}`).signatures.length, 1)
    assert.equal(parsed(whole + (sig ?? '').repeat(100)).signatures.length, 32)
  })

  const hash = 'sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73'
  const bad: [what: string, text: string][] = [
    ['a page', '<html>\n<body>not found</body>\n</html>\n'],
    ['nothing', ''],
    ['a truncated one', whole.slice(0, -1)],
    ['one without a path', without('StorePath')],
    ['one without an address', without('URL')],
    ['one without a hash', without('NarHash')],
    ['one without a size', without('NarSize')],
    ['a size of 0', withLine('NarSize', '0')],
    ['an invalid size', withLine('NarSize', '1e9')],
    ['an excessive size', withLine('NarSize', '9007199254740992')],
    ['another kind of hash', withLine('NarHash', hash.replace('sha256', 'sha512'))],
    ['another store', withLine('StorePath', '/gnu/store/dgcbyj3296nr4sggnszvgcc7n8dblcbd-zlib')],
    ['a path in a path', withLine('StorePath', `${pathOf('a')}/bin`)],
    ['a reference that leads out', withLine('References', '../../etc')],
    ['a reference with a folder', withLine('References', pathOf('a'))],
    ['references twice', `${whole}References: \n`],
    ['a size twice', `${whole}NarSize: 100\n`],
    ['an address with a blank', withLine('URL', 'nar/a b')],
    ['an address that is too long', withLine('URL', 'a'.repeat(4097))],
    ['too many references', withLine('References', namesOf(10_001))],
    ['more than a mebibyte', withLine('Unknown', 'x'.repeat(1024 * 1024))],
  ]
  for (const [what, text] of bad) {
    it(`refuses ${what}`, () => assert.ok('invalid' in parseNarinfo(text)))
  }

  it('never throws', () => {
    const names = ['StorePath', 'URL', 'Compression', 'NarHash', 'NarSize', 'References', 'Sig', 'CA']
    const piece = fc.oneof(fc.string(), fc.constantFrom(...names, ': ', '\n', ':', hash, pathOf('a'), '1'))
    fc.assert(fc.property(fc.array(piece), (pieces) => void parseNarinfo(`${pieces.join('')}\n`)))
  })
})

describe('a signature', () => {
  const signer = createSigner('cache-1')
  const path = pathOf('signed')
  const references = [pathOf('b'), pathOf('a')]
  const text = signer.narinfo(path, Buffer.from('nar'), { references })

  it('covers path, hash, size and references', () => {
    const fingerprint = fingerprintOf(parsed(text))
    assert.match(
      fingerprint,
      new RegExp(`^1;${path};sha256:[0-9a-z]{52};3;${references.toSorted().join(',')}$`),
    )
    assert.ok(isSigned(parsed(text), signer.keys))
    // Other fields may be changed in transit.
    assert.ok(isSigned(parsed(text.replace('none', 'xz')), signer.keys))
  })

  it('is valid only for what it covers, with a trusted key of its name', () => {
    const other = createSigner('cache-1')
    assert.ok(!isSigned(parsed(text), other.keys))
    const [key = assert.fail()] = signer.keys.values()
    assert.ok(!isSigned(parsed(text), new Map([['cache-2', key]])))
    assert.ok(!isSigned(parsed(text), new Map()))
    for (const changed of [
      text.replace('NarSize: 3', 'NarSize: 4'),
      text.replace(/^References: \S+ /m, 'References: '),
      text.replace('StorePath: ', `StorePath: ${pathOf('other')}\nWas: `),
      text.replace(/^NarHash: .*$/m, `NarHash: ${hashOfNothing}`),
      text.replace(/^Sig: cache-1:./m, (line) => line.slice(0, -1) + (line.endsWith('A') ? 'B' : 'A')),
    ]) {
      assert.notEqual(changed, text)
      assert.ok(!isSigned(parsed(changed), signer.keys), changed)
    }
  })

  it('of Nix is accepted', () => {
    const key = 'test-1:cCGPI9ABuhO/dBMGY7xPyRyxoGdADUCRsrRtDn8UFLs='
    const { keys, invalid } = parseTrustedKeys([key, 'nonsense', 'short:AAAA'])
    assert.deepEqual(invalid, ['nonsense', 'short:AAAA'])
    assert.ok(isSigned(parsed(ofNix), keys))
  })
})

const hashOfNothing = 'sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73'
const ofNix = `StorePath: /nix/store/dbrp9jjffkvc2hlq31pw2llhz84q1s6z-hello-2.10
URL: nar/0yccr6sbvw2ncz5cb1dzr7bpg754igiv55ss6wdd24cxb1z88xch.nar.zst
Compression: zstd
FileHash: sha256:0yccr6sbvw2ncz5cb1dzr7bpg754igiv55ss6wdd24cxb1z88xch
FileSize: 59827
NarHash: sha256:0n946lxlai336k7pf55ac4lf77xp964mr0y6nag1qd3rjnfnkdr2
NarSize: 189832
References: x8n6hiq7mmngkf1lfqb4llq587mbifdf-glibc-2.36
Deriver: f16xpafibrs14w1vv3f5j9jg1pj4jjkf-hello-2.10.drv
Sig: test-1:n+1hSSfIn6efiNnTjJIqF7huOYZ+Uw9d+qPFMCPq6BozsLtlFAiQ4dNLla/3YN13VSCE/fDrNHnC7Mmhv/YvAQ==
`
