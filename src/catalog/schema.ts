import type { ImageKey, LayerKey, MemberKey, ResolutionKey } from './catalog.ts'

/** The tables. Sizes and offsets are bytes, times seconds since 1970; JSON columns hold text. */
export type Tables = {
  /** Packages looked up in a revision of a package set. */
  resolutions: {
    key: ResolutionKey
    resolution: string
    /** The revision of the package set; null if an earlier version wrote the row. */
    revision: string | null
    /** The day of the last use (UTC, counted from 1970); null if none was recorded. */
    used_on: number | null
  }
  /** Nix's facts about store paths. */
  paths: {
    store_path: string
    nar_hash: string
    nar_size: number
    path_references: string
    /** As in `resolutions`. */
    used_on: number | null
    /** The hash of the contents, a blank, and the listing of the path; null if unknown. */
    listing: string | null
  }
  /** Small files of binary caches; `text` is null if a cache did not have one. */
  cache_files: { address: string; text: string | null; asked_at: number }
  /** The compressed tar entries of one store path. */
  members: { key: MemberKey; digest: string; offset: number; length: number }
  /** `compression` may be one that only a later version knows. */
  layers: {
    key: LayerKey
    digest: string
    diff_id: string
    size: number
    compression: string
    /** JSON with additional facts; null if there are none. */
    facts: string | null
  }
  images: {
    key: ImageKey
    image: string
    made_at: number
    pulled_at: number | null
    /** JSON: the store paths that it was made from, without their references; null if unknown. */
    roots: string | null
  }
  /** Blobs whose bytes were hashed when or after they were stored; `withdrawn` ones are being deleted. */
  blobs: {
    digest: string
    size: number
    used_at: number | null
    withdrawn: number | null
    /** The state of the blob's file when it was last hashed. */
    mark: string | null
  }
  /** Pulls by name; `count` is their number. */
  pulls: {
    repository: string
    tag: string
    architecture: string
    image: ImageKey
    pulled_at: number
    count: number
  }
  /** API keys of clients; `hash` is that of the secret part, `member_of` is JSON. */
  api_keys: {
    id: string
    name: string
    hash: string
    member_of: string
    created_at: number
    expires_at: number | null
    revoked_at: number | null
  }
  /** Which images were ever served under which names. */
  given: { repository: string; image: ImageKey }
  /** Package sets for which a search index is wanted, by the format of the index; `status` is JSON. */
  search_sets: {
    set_name: string
    format: number
    wanted_at: number
    rules: string | null
    status: string | null
  }
  /** Search indexes in the store; `replaced_at` is when another one took the place of this one. */
  search_indexes: {
    digest: string
    size: number
    set_name: string
    format: number
    rules: string
    revision: string
    replaced_at: number | null
  }
  /** Leaders among the replicas, by task; milliseconds since 1970 by the clock of the database. */
  leaders: { name: string; owner: string; held_until: number }
  /** Usage of quotas in windows of `seconds`; `ends_at` is by the clock of the database. */
  quota_uses: { key: string; used: number; ends_at: number; seconds: number }
  /** Facts about the catalog itself. */
  about: { key: string; value: string }
}

export type Column = {
  readonly type: 'text' | 'bigint'
  readonly notNull?: true
  /** The value for existing rows when the column is added. */
  readonly default?: number
}
export type Table<Columns> = {
  readonly key: readonly (keyof Columns & string)[]
  readonly columns: Readonly<Record<keyof Columns & string, Column>>
  readonly indexes?: readonly ((keyof Columns & string) | readonly (keyof Columns & string)[])[]
}

const text: Column = { type: 'text', notNull: true }
const optionalText: Column = { type: 'text' }
const number: Column = { type: 'bigint', notNull: true }
const optionalNumber: Column = { type: 'bigint' }

/**
 * The version of the schema below: increment it with every change, so that existing databases are migrated. Changes only
 * add: tables, indexes, and columns that are nullable or have a default. Nothing is renamed, dropped or given another
 * meaning, because the previous version of the program must work with the database after a rollback.
 */
export const schemaVersion = 10

/** @param now seconds since 1970: the creation time of images of a database that did not record it */
export const schema = (now: number): { readonly [Name in keyof Tables]: Table<Tables[Name]> } => ({
  resolutions: {
    key: ['key'],
    columns: { key: text, resolution: text, revision: optionalText, used_on: optionalNumber },
    indexes: ['used_on', ['revision', 'used_on']],
  },
  paths: {
    key: ['store_path'],
    columns: {
      store_path: text,
      nar_hash: text,
      nar_size: number,
      path_references: text,
      used_on: optionalNumber,
      listing: optionalText,
    },
    indexes: ['used_on'],
  },
  cache_files: {
    key: ['address'],
    columns: { address: text, text: optionalText, asked_at: number },
    indexes: ['asked_at'],
  },
  members: {
    key: ['key'],
    columns: { key: text, digest: text, offset: number, length: number },
    indexes: ['digest'],
  },
  layers: {
    key: ['key'],
    columns: {
      key: text,
      digest: text,
      diff_id: text,
      size: number,
      compression: text,
      facts: optionalText,
    },
    indexes: ['digest'],
  },
  images: {
    key: ['key'],
    columns: {
      key: text,
      image: text,
      made_at: { ...number, default: now },
      pulled_at: optionalNumber,
      roots: optionalText,
    },
    indexes: ['made_at', 'pulled_at'],
  },
  blobs: {
    key: ['digest'],
    columns: {
      digest: text,
      size: number,
      used_at: optionalNumber,
      withdrawn: optionalNumber,
      mark: optionalText,
    },
  },
  pulls: {
    key: ['repository', 'tag', 'architecture'],
    columns: {
      repository: text,
      tag: text,
      architecture: text,
      image: text,
      pulled_at: number,
      count: number,
    },
    indexes: ['image'],
  },
  api_keys: {
    key: ['id'],
    columns: {
      id: text,
      name: text,
      hash: text,
      member_of: text,
      created_at: number,
      expires_at: optionalNumber,
      revoked_at: optionalNumber,
    },
  },
  given: { key: ['repository', 'image'], columns: { repository: text, image: text }, indexes: ['image'] },
  search_sets: {
    key: ['set_name', 'format'],
    columns: { set_name: text, format: number, wanted_at: number, rules: optionalText, status: optionalText },
  },
  search_indexes: {
    key: ['digest'],
    columns: {
      digest: text,
      size: number,
      set_name: text,
      format: number,
      rules: text,
      revision: text,
      replaced_at: optionalNumber,
    },
  },
  leaders: { key: ['name'], columns: { name: text, owner: text, held_until: number } },
  quota_uses: {
    key: ['key'],
    columns: { key: text, used: number, ends_at: number, seconds: number },
    indexes: ['ends_at'],
  },
  about: { key: ['key'], columns: { key: text, value: text } },
})
