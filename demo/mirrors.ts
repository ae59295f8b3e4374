/** The Debian mirrors of this machine's apt. */
export type Mirrors = {
  /** The URL of the main archive. */
  archive: string | undefined
  /** The URL of the security archive; some systems have none. */
  security: string | undefined
}

type Entry = { address: string; suites: string[]; components: string[] }

/**
 * Finds Debian's own archive among apt sources. `files` are the sources with their names; the
 * extension determines the format (`.sources`: deb822; else one line per source). Other archives are recognised by
 * suites that are not Debian's, or by a missing component main.
 */
export function findMirrors(files: readonly { name: string; text: string }[]): Mirrors {
  const entries = files
    .flatMap(({ name, text }) =>
      name.endsWith('.sources') || /^Types:/m.test(text) ? deb822(text) : lines(text),
    )
    .filter((entry) => entry.components.includes('main'))
  return {
    archive: entries.find((entry) => entry.suites.some((suite) => archiveSuite.test(suite)))?.address,
    security: entries.find((entry) => entry.suites.some((suite) => securitySuite.test(suite)))?.address,
  }
}

const releases = String.raw`(?:jessie|stretch|buster|bullseye|bookworm|trixie|forky|duke|sid|(?:old)*stable|testing|unstable)`
const archiveSuite = new RegExp(`^${releases}(-updates)?$`)
const securitySuite = new RegExp(`^${releases}(-security|/updates)$`)

function lines(text: string): Entry[] {
  return text.split('\n').flatMap((line) => {
    const [, address, suite, components] =
      /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line) ?? []
    if (address === undefined || suite === undefined) return []
    return { address, suites: [suite], components: words(components) }
  })
}

function deb822(text: string): Entry[] {
  const uncommented = text.replaceAll(/^#.*\n?/gm, '')
  return uncommented.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string[] =>
      words(new RegExp(String.raw`^${name}:(.*(?:\n[ \t].*)*)`, 'im').exec(stanza)?.[1])
    if (!field('Types').includes('deb') || field('Enabled')[0]?.toLowerCase() === 'no') return []
    return field('URIs').map((address) => ({
      address,
      suites: field('Suites'),
      components: field('Components'),
    }))
  })
}

const words = (text = ''): string[] => text.split(/\s+/).filter((word) => word !== '')
