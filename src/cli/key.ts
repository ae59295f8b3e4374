import { userInfo } from 'node:os'
import type { Command } from 'commander'
import type { ApiKey, Catalog } from '../catalog/catalog.ts'
import { openConfiguredCatalog } from '../catalogs.ts'
import type { Config } from '../config.ts'
import { newKey, shownKey, type KeyProblem, type ShownKey } from '../credentials/new-key.ts'
import { NixeryError } from '../errors.ts'
import { openAuditLines } from '../telemetry/audit-lines.ts'
import { counted } from '../text/amounts.ts'
import { auditLine } from '../telemetry/audit.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { requireCatalog } from './settings.ts'

// Milliseconds to wait for a catalog that another process has locked.
const lockPatience = 10_000
const defaultExpiry = '90d'

export const setUp = (command: Command): void => {
  create(command.command('create').description('create a key and print it; it is not shown again'))
  list(command.command('list').description('list all keys, including expired and revoked ones'))
  revoke(
    command
      .command('revoke')
      .description('revoke a key, which takes effect at once')
      .argument('<id>', 'as listed'),
  )
}

const create = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .requiredOption('--name <name>', 'the user name of the key, in rules and logs')
      .option('--expires <time>', 'how long it is valid, such as 12h or 90d, or never', defaultExpiry)
      .option('--groups <groups>', 'groups of the user, separated by commas'),
  async run(context, { name, expires, groups = '' }: { name: string; expires: string; groups?: string }) {
    const now = Math.floor(Date.now() / 1000)
    const made = newKey({ name, groups, expires }, now)
    if ('problem' in made) throw refusal(made.problem)
    const { key, stored } = made
    const config = context.config()
    await withKeys(context, config, async ({ apiKeys }, _, audit) => {
      await apiKeys.add(stored)
      await audit('created', stored)
      const shown = shownKey(stored, now)
      context.print({ key, ...shown }, key)
      context.progress.done(
        `key ${stored.id} for ${name}, ${until(shown)}: use it as the password, with any user name; it is not shown again`,
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
      const keys = (await apiKeys.list()).map((key) => shownKey(key, now))
      const rows = keys.map((key) => [
        key.id,
        key.name,
        key.groups.join(',') || '-',
        key.created,
        key.state === 'valid' ? until(key) : key.state,
      ])
      const table = [['id', 'name', 'groups', 'created', 'state'], ...rows].map((row) => row.join('  '))
      context.print(keys, keys.length > 0 ? table.join('\n') : undefined)
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
      context.print(shownKey({ ...key, revokedAt: now }, now))
      context.progress.done(`key ${id} (${key.name}) is revoked`)
    })
  },
})

type Audit = (what: 'created' | 'revoked', key: ApiKey) => Promise<void>

/** Opens the catalog and the audit log. If that fails, no key is changed. */
async function withKeys(
  { progress }: CommandContext,
  config: Config,
  work: (catalog: Catalog, now: number, audit: Audit) => Promise<void>,
): Promise<void> {
  const target = config.NIXERY_AUDIT_LOG
  const lines = target === undefined ? undefined : await openAuditLines(target, progress.note)
  const { catalog } = await openConfiguredCatalog(config, { warn: progress.note, lockPatience })
  try {
    await work(catalog, Math.floor(Date.now() / 1000), async (what, key) => {
      const { id, name, groups, expires } = shownKey(key, 0)
      lines?.write(auditLine('key', { what, key: id, user: name, groups, expires, by: userInfo().username }))
      await lines?.close()
    })
  } finally {
    await catalog.close()
  }
}

const until = ({ expires }: Pick<ShownKey, 'expires'>): string =>
  expires === undefined ? 'valid until it is revoked' : `valid until ${expires}`

const refusal = ({ field, message, hint }: KeyProblem): NixeryError =>
  new NixeryError('CONFIG_INVALID', field === 'expires' ? `--expires: ${message}` : message, { hint })
