/** Names of registries and their repositories (distribution spec, "Pulling manifests"). */

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`)
const hostPattern = /^(?:[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/

/**
 * Whether a text is the host of a registry, with or without a port. Docker also treats any other text as a namespace of
 * Docker Hub.
 */
export const isRegistryHost = (text: string): boolean =>
  hostPattern.test(text) && (/[.:]/.test(text) || text === 'localhost')

/** Whether the distribution spec allows a name of a repository. */
export const isRepository = (text: string): boolean => text.length <= 255 && repositoryPattern.test(text)

/** Whether a host is one of the names of Docker Hub. */
export const isHub = (host: string): boolean => host === 'docker.io' || host === 'index.docker.io'

/** The full name of a repository: Docker Hub's own are in the folder `library`. */
export const fullRepository = (host: string, repository: string): string =>
  isHub(host) && !repository.includes('/') ? `library/${repository}` : repository
