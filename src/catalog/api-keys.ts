import type { Kysely } from 'kysely'
import type { ApiKey, ApiKeys } from './catalog.ts'
import type { Tables } from './schema.ts'

/** The API keys of clients. A row that cannot be read counts as missing, and grants nothing. */
export function apiKeysIn(db: Kysely<Tables>): ApiKeys {
  return {
    async add({ id, name, hash, groups, createdAt, expiresAt }) {
      await db
        .insertInto('api_keys')
        .values({
          id,
          name,
          hash,
          member_of: JSON.stringify(groups),
          created_at: createdAt,
          expires_at: expiresAt ?? null,
          revoked_at: null,
        })
        .execute()
    },
    async find(id) {
      const row = await db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst()
      return row && keyOf(row)
    },
    async list() {
      const rows = await db.selectFrom('api_keys').selectAll().orderBy('created_at').orderBy('id').execute()
      return rows.flatMap((row) => keyOf(row) ?? [])
    },
    async revoke(id, at) {
      await db
        .updateTable('api_keys')
        .set({ revoked_at: at })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .execute()
    },
  }
}

function keyOf(row: Tables['api_keys']): ApiKey | undefined {
  const { id, name, hash, member_of, created_at, expires_at, revoked_at } = row
  const groups = groupsOf(member_of)
  const times = [created_at, expires_at ?? 0, revoked_at ?? 0]
  if (!groups || !times.every((time) => Number.isSafeInteger(time))) return undefined
  return {
    id,
    name,
    hash,
    groups,
    createdAt: created_at,
    ...(expires_at !== null && { expiresAt: expires_at }),
    ...(revoked_at !== null && { revokedAt: revoked_at }),
  }
}

function groupsOf(json: string): readonly string[] | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined
  } catch {
    return undefined
  }
}
