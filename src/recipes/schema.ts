import { z } from 'zod'
import { platforms as allPlatforms } from '../image/platform.ts'
import * as fields from './fields.ts'

const account = z.strictObject(
  {
    name: fields.account,
    uid: fields.id,
    /** Defaults to the uid. */
    gid: fields.id.optional(),
    home: fields.passwdPath.optional(),
    shell: fields.passwdPath.optional(),
    groups: fields.accountNames.optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table with name and uid' : undefined) },
)

/** The contents of a file; exactly one of these. `store` and `base64` are for recipes in package sets. */
const kinds = ['text', 'base64', 'source', 'store', 'link', 'directory'] as const

const file = z
  .strictObject({
    path: fields.path,
    text: z.string({ error: 'must be a text in quotes' }).max(fields.limits.fileBytes).optional(),
    base64: z.base64({ error: 'must be base64' }).optional(),
    source: fields.text.min(1, 'must not be empty').optional(),
    store: z
      .string()
      .regex(/^\/nix\/store\/[0-9a-z]{32}-[^/]+(\/[^/]+)*$/, 'must be a path in the Nix store')
      .optional(),
    link: fields.text.min(1, 'must not be empty').optional(),
    directory: z.literal(true, 'must be true, or omitted').optional(),
    mode: fields.mode.optional(),
    uid: fields.id.optional(),
    gid: fields.id.optional(),
  })
  .superRefine((value, context) => {
    const given = kinds.filter((kind) => value[kind] !== undefined)
    if (given.length !== 1) {
      const said = given.length === 0 ? 'has no contents' : `has ${given.join(' and ')}`
      context.addIssue(`${value.path} ${said}: give one of text, source, link and directory`)
    }
    const without = (['mode', 'uid', 'gid'] as const).filter((name) => value[name] !== undefined)
    if (value.link !== undefined && without.length > 0) {
      context.addIssue(`${value.path} is a link, which cannot have ${without.join(', ')}: remove it`)
    }
  })

// As for NIXERY_MAX_LAYERS: Docker mounts 125.
const mostLayers = 120
const architectures = Object.keys(allPlatforms)

/** A recipe as written. */
export const recipeSchema = z.strictObject({
  base: fields.base.optional(),
  packages: fields.packages.optional(),
  optional: fields.packages.optional(),
  include: fields.recipeNames.optional(),
  shell: fields.flag.optional(),
  entrypoint: fields.command.optional(),
  cmd: fields.command.optional(),
  workdir: fields.folder.optional(),
  user: fields.user.optional(),
  env: fields.variables.optional(),
  labels: fields.labels.optional(),
  annotations: fields.labels.optional(),
  ports: fields.ports.optional(),
  volumes: fields.paths.optional(),
  stopSignal: fields.stopSignal.optional(),
  healthcheck: fields.healthcheck.optional(),
  accounts: z.array(account, 'must be a list of tables').max(fields.limits.items).optional(),
  files: z.array(file, 'must be a list of tables').max(fields.limits.files).optional(),
  platforms: z
    .array(z.enum(architectures, `must be one of ${architectures.join(', ')}`), 'must be a list of platforms')
    .min(1, 'must name at least one platform')
    .optional(),
  maxLayers: z
    .int({ error: `must be a whole number from 1 to ${mostLayers}` })
    .min(1, `must be a whole number from 1 to ${mostLayers}`)
    .max(mostLayers, `must be a whole number from 1 to ${mostLayers}`)
    .optional(),
  nixDatabase: fields.flag.optional(),
})

/** A recipe as written, each field of which is valid by itself. */
export type WrittenRecipe = z.infer<typeof recipeSchema>
export type WrittenFile = NonNullable<WrittenRecipe['files']>[number]

export const fieldNames: readonly string[] = Object.keys(recipeSchema.shape)
/** Field names inside lists and tables, by the field that contains them. */
export const innerNames: Readonly<Record<string, readonly string[]>> = {
  accounts: Object.keys(account.shape),
  files: Object.keys(file.shape).filter((name) => name !== 'store' && name !== 'base64'),
  healthcheck: Object.keys(fields.healthcheck.shape),
}
