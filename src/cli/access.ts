import type { Command } from 'commander'
import { readFile } from 'node:fs/promises'
import { anonymous, type Identity } from '../access/identity.ts'
import type { Action } from '../access/may.ts'
import { createDecide, type Decision, type Policy } from '../access/policy.ts'
import { parseWho } from '../access/who.ts'
import type { Config } from '../config.ts'
import { configOfSet, namedSets, vocabularyOf } from '../config/set-config.ts'
import { NixeryError } from '../errors.ts'
import { formatImageName, parseImageReference, type ImageRequest } from '../image/name.ts'
import { isBuiltIn } from '../image/recipes.ts'
import { actions, parsePolicy } from '../policy/policy-file.ts'
import { ownIn } from '../recipes/check.ts'
import { openFolder, type FolderEntry } from '../recipes/folder.ts'
import { withIncludes } from '../recipes/include.ts'
import { defineCommand, type CommandContext } from './command.ts'

export const setUp = (command: Command): void => {
  explain(
    command
      .command('explain')
      .description('explain which rule of NIXERY_POLICY allows or refuses an action on an image'),
  )
}

const explain = defineCommand<{ as: string[] }, [action: string, image: string]>({
  usesFolders: false,
  declare(command) {
    command
      .argument('<action>', `one of ${actions.join(', ')}`)
      .argument('<image>', 'the image, such as shell/git')
      .requiredOption(
        '--as <who>',
        'anonymous, user:NAME, or "issuer:NAME CLAIM=VALUE"; again with group:NAME for each group',
        // Not <who...>, which would take the arguments that follow it.
        (who: string, before: readonly string[] | undefined) => [...(before ?? []), who],
      )
  },
  async run(context, { as }, action, image) {
    const config = context.config()
    const { NIXERY_POLICY: file } = config
    if (file === undefined) {
      throw new NixeryError('CONFIG_INVALID', 'there is no policy to explain', {
        hint: 'set NIXERY_POLICY, or pass the settings of the server with --env-file FILE',
      })
    }
    const wanted = actions.find((each) => each === action)
    if (!wanted) throw invalid(`${JSON.stringify(action)} is not an action: ${actions.join(', ')}`)
    const policy = await readPolicy(file)
    const imageRequest = parseImageReference(image, vocabularyOf(config))
    const contents = await contentsOf(context, config, imageRequest)
    const decision = createDecide(policy, () => contents)(identityOf(as), wanted, { imageRequest })
    const lines = decision.rules.map((index) => policy.rules[index]?.line ?? 0)
    const { allowed, about, reason } = decision
    context.print(
      { allowed, reason, about, lines },
      `${formatImageName(imageRequest)}: ${sentence(decision, wanted, lines)}`,
    )
  },
})

/** The packages of an image's recipes, for recipes in a folder. */
async function contentsOf(
  { progress }: CommandContext,
  config: Config,
  { recipes, packages, set }: ImageRequest,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const named = namedSets(config)
  const own = named?.find(({ name }) => name === set) ?? named?.[0]
  const { NIXERY_RECIPES: folder, NIXERY_RECIPE_NAMES: names } = own ? configOfSet(config, own) : config
  const { entries } =
    folder === undefined ? { entries: new Map<string, FolderEntry>() } : await openFolder(folder).look()
  const found = new Map<string, readonly string[]>()
  for (const name of [...recipes, ...(names === 'bare' ? packages : [])]) {
    if (entries.has(name)) {
      const { recipe } = await withIncludes(name, (each, by) => ownIn(entries, each, by))
      found.set(name, [...recipe.packages, ...(recipe.optional ?? [])].flat())
    } else if (recipes.includes(name) && !isBuiltIn(name)) {
      progress.note(`the packages of ${name}, a recipe of the package set, are not checked`)
    }
  }
  return found
}

async function readPolicy(file: string): Promise<Policy> {
  try {
    return parsePolicy(await readFile(file, 'utf8'))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new NixeryError('CONFIG_INVALID', `${file}: ${reason}`, { cause })
  }
}

function sentence({ allowed, about, reason }: Decision, action: Action, lines: readonly number[]): string {
  const place = `line${lines.length > 1 ? 's' : ''} ${lines.join(', ')}`
  if (allowed) return `may ${action}, by the rule${lines.length > 1 ? 's' : ''} in ${place}`
  if (reason === 'denied') return `may not ${action}: ${about} is denied by the rule in ${place}`
  return `may not ${action}: no rule allows ${about === undefined ? 'that' : about}`
}

/** An identity with all of these. @throws NAME_INVALID */
function identityOf(texts: readonly string[]): Identity {
  let identity: Identity = anonymous
  for (const text of texts) {
    const who = parseWho(/[:]|^anonymous$/.test(text) ? text : `user:${text}`)
    switch (who?.kind) {
      case 'anonymous':
        break
      case 'user':
        identity = { ...identity, name: who.name, how: 'password' }
        break
      case 'group':
        identity = { ...identity, groups: [...identity.groups, who.name], how: 'password' }
        break
      case 'issuer':
        identity = { ...identity, issuer: who.name, claims: Object.fromEntries(who.claims), how: 'oidc' }
        break
      case 'everyone':
      case undefined:
        throw invalid(
          `${JSON.stringify(text)} is not anonymous, user:NAME, group:NAME or issuer:NAME CLAIM=VALUE`,
        )
    }
  }
  return identity
}

const invalid = (message: string) => new NixeryError('NAME_INVALID', message)
