import { settingNames, type Config } from '../../config.ts'
import { environmentFor } from '../../nix/environment.ts'
import { remoteRefs } from '../../nix/git.ts'
import { withoutCredentials } from '../../packages/remote.ts'
import { problem, type Finding } from './finding.ts'

/** Milliseconds to wait for a repository. */
const patience = 20_000

/** Known reasons of git and ssh, and what fixes each. */
const reasons: readonly (readonly [reason: RegExp, fix: (host: string) => string])[] = [
  [
    /REMOTE HOST IDENTIFICATION HAS CHANGED/i,
    (host) =>
      `compare the key with the one that its operator publishes; if it is right: ssh-keygen -R ${host} && ssh-keyscan ${host} >>~/.ssh/known_hosts`,
  ],
  [
    /Host key verification failed/i,
    (host) =>
      `ssh-keyscan ${host} >>~/.ssh/known_hosts, after comparing the key with the one that its operator publishes`,
  ],
  [
    /Permission denied \(publickey|could not read (Username|Password)|Authentication failed|terminal prompts disabled/i,
    () => 'give the user of the server credentials: docs/running.md, “Private package sets”',
  ],
  [/not found|does not (exist|appear)/i, () => 'correct the address'],
]

/** Whether the git repositories in the settings answer with the credentials of this user. */
export async function checkRepositories(config: Config, signal: AbortSignal): Promise<Finding[]> {
  if (config.NIXERY_ROLE === 'front') return []
  const ofSets = config.sets?.map(({ source }) => source) ?? []
  const flakes = [
    config.NIXERY_FLAKE,
    ...ofSets.map(({ kind, place }) => (kind === 'flake' ? place : undefined)),
  ]
  const addresses = [
    config.NIXERY_PKGS_REPO,
    ...ofSets.map(({ kind, place }) => (kind === 'git' ? place : undefined)),
    ...flakes.map((flake) => /^git\+([^?]+)/.exec(flake ?? '')?.[1]),
  ].flatMap((address) => address ?? [])
  const environment = environmentFor('fetch', process.env, {
    home: config.NIXERY_DATA,
    pass: config.NIXERY_NIX_ENV,
    withhold: settingNames,
  })
  return Promise.all(
    [...new Set(addresses)].map(async (address): Promise<Finding> => {
      const shown = withoutCredentials(address)
      try {
        await remoteRefs(address, true, { environment, timeout: patience, signal, group: true })
        return { about: 'packages', state: 'ok', message: `the repository ${shown} can be read` }
      } catch (error) {
        const { message } = problem('packages', error)
        const [, host = ''] = /^(?:\w+:\/\/)?(?:[^@/]+@)?([^/:]+)/.exec(address) ?? []
        const fix = reasons.find(([reason]) => reason.test(message))?.[1](host)
        return {
          about: 'packages',
          state: 'problem',
          message: `${shown}: ${message}`,
          fix: fix ?? `git ls-remote ${shown} must work for this user`,
        }
      }
    }),
  )
}
