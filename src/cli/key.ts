import { userInfo } from 'node:os'
import type { Command } from 'commander'
import type { ApiKey, Catalog } from '../catalog/catalog.ts'
import { openConfiguredCatalog } from '../catalogs.ts'
import type { Config } from '../config.ts'
import { makeApiKey, reasonAgainst } from '../credentials/api-key.ts'
import { NixeryError } from '../errors.ts'
import { openAuditLines } from '../telemetry/audit-lines.ts'
import { counted } from '../text/amounts.ts'
import { auditLine } from '../telemetry/audit.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { requireCatalog } from './settings.ts'

// Milliseconds to wait for a catalog that another process has locked.
const lockPatience = 10_000
const day = 24 * 3600
const defaultExpiry = '90d'
// A day for tests of a pipeline, years for an appliance.
const longestExpiry = 3650 * day

export const setUp = (command: Command): void => {
  create(command.command('create').description('make a key, and print it: it is not shown again'))
  list(command.command('list').description('list all keys, also those that are of no more use'))
  revoke(command.command('revoke').description('make a key useless at once').argument('<id>', 'as listed'))
}

const create = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .requiredOption('--name <name>', 'the user that the key stands for, in rules and logs')
      .option('--expires <time>', 'how long it can be used, such as 12h or 90d, or never', defaultExpiry)
      .option('--groups <groups>', 'groups of the user, separated by commas'),
  async run(context, { name, expires, groups = '' }: { name: string; expires: string; groups?: string }) {
    checkName(name)
    const seconds = expiryOf(expires)
    const config = context.config()
    await withKeys(context, config, async ({ apiKeys }, now, audit) => {
      const { key, id, hash } = makeApiKey()
      const made = {
        id,
        name,
        groups: groups.split(',').filter((group) => group !== ''),
        createdAt: now,
        ...(seconds !== undefined && { expiresAt: now + seconds }),
      }
      await apiKeys.add({ ...made, hash })
      await audit('created', made)
      context.print({ key, ...shown(made, now) }, key)
      context.progress.done(
        `key ${id} for ${name}, ${until(made)}: use it as the password of any user name; it is not shown again`,
      )
    })
  },
})

const list = defineCommand({
  usesFolders: true,
  async run(context) {
    const config = context.config()
    await requireCatalog(config)
    await withKeys(context, config, async ({ apiKeys }, now) => {
      const keys = await apiKeys.list()
      const rows = keys.map((key) => [
        key.id,
        key.name,
        key.groups.join(',') || '-',
        dateOf(key.createdAt),
        reasonAgainst(key, now) ?? until(key),
      ])
      const table = [['id', 'name', 'groups', 'created', 'state'], ...rows].map((row) => row.join('  '))
      context.print(
        keys.map((key) => shown(key, now)),
        keys.length > 0 ? table.join('\n') : undefined,
      )
      context.progress.done(counted(keys.length, 'key'))
    })
  },
})

const revoke = defineCommand({
  usesFolders: true,
  async run(context, _options: unknown, id: string) {
    const config = context.config()
    await requireCatalog(config)
    await withKeys(context, config, async ({ apiKeys }, now, audit) => {
      const key = await apiKeys.find(id)
      if (!key) {
        throw new NixeryError('CONFIG_INVALID', `there is no key ${id}`, {
          hint: '`nixery key list` shows the ids of all keys',
        })
      }
      await apiKeys.revoke(id, now)
      await audit('revoked', key)
      context.print(shown({ ...key, revokedAt: now }, now))
      context.progress.done(`key ${id} (${key.name}) is revoked`)
    })
  },
})

type Audit = (what: 'created' | 'revoked', key: Omit<ApiKey, 'hash'>) => Promise<void>

/** Opens the catalog, and the audit log. Without that, no key is changed. */
async function withKeys(
  { progress }: CommandContext,
  config: Config,
  work: (catalog: Catalog, now: number, audit: Audit) => Promise<void>,
): Promise<void> {
  const target = config.NIXERY_AUDIT_LOG
  const lines = target === undefined ? undefined : await openAuditLines(target, progress.note)
  const { catalog } = await openConfiguredCatalog(config, { warn: progress.note, lockPatience })
  try {
    await work(catalog, Math.floor(Date.now() / 1000), async (what, { id, name, groups, expiresAt }) => {
      const expires = expiresAt === undefined ? undefined : dateOf(expiresAt)
      lines?.write(auditLine('key', { what, key: id, user: name, groups, expires, by: userInfo().username }))
      await lines?.close()
    })
  } finally {
    await catalog.close()
  }
}

/** What may be known of a key. */
const shown = (key: Omit<ApiKey, 'hash'>, now: number) => ({
  id: key.id,
  name: key.name,
  groups: key.groups,
  created: dateOf(key.createdAt),
  expires: key.expiresAt === undefined ? undefined : dateOf(key.expiresAt),
  state: reasonAgainst({ ...key, hash: '' }, now) ?? 'valid',
})

const dateOf = (seconds: number): string => new Date(seconds * 1000).toISOString()
const until = ({ expiresAt }: Pick<ApiKey, 'expiresAt'>): string =>
  expiresAt === undefined ? 'valid until it is revoked' : `valid until ${dateOf(expiresAt)}`

// What rules and logs can show; a colon would be taken for the end of the name in Basic credentials.
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._@/+-]{0,127}$/

function checkName(name: string): void {
  if (nameForm.test(name)) return
  throw new NixeryError('CONFIG_INVALID', `${JSON.stringify(name)} is not a name for a key`, {
    hint: 'letters, digits and ._@/+- are allowed, up to 128',
  })
}

/** Seconds; undefined for never. */
function expiryOf(text: string): number | undefined {
  if (text === 'never') return undefined
  const { count, unit } = /^(?<count>\d{1,6})(?<unit>[hd])$/.exec(text)?.groups ?? {}
  const seconds = Number(count) * (unit === 'd' ? day : 3600)
  if (seconds > 0 && seconds <= longestExpiry) return seconds
  throw new NixeryError('CONFIG_INVALID', `--expires: ${JSON.stringify(text)} is not a time`, {
    hint: 'such as 12h or 90d, up to 3650d, or never',
  })
}
