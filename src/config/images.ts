import {
  address,
  folder,
  imageReferences,
  listOf,
  oneOf,
  registryPlaces,
  seconds,
  size,
  whole,
} from './values.ts'

/** Image names, images built ahead of demand, and waiting. */
export const imageSettings = {
  NIXERY_PLATFORMS: listOf(['amd64', 'arm64'])
    .prefault('amd64')
    .describe(
      'platforms of a name without one: clients that accept an index get one of all these platforms, others the first',
    ),
  NIXERY_RECIPES: folder
    .optional()
    .describe(
      'folder with recipes, `NAME.toml` or `NAME.json` each; read again when they change ([recipes](recipes.md))',
    ),
  NIXERY_RECIPE_NAMES: oneOf('prefixed', 'bare')
    .default('prefixed')
    .describe(
      'whether recipes need `recipe/` before their names; with `bare`, `web` means the recipe of that name, and a package of that name makes it an error',
    ),
  NIXERY_BASE_REGISTRIES: registryPlaces
    .default([])
    .describe(
      'registries that base images of recipes may come from, or folders in them: `docker.io/library quay.io`; none if not set. Credentials are those that `podman login` or `docker login` stored for the user of the server ([recipes](recipes.md#base-images))',
    ),
  NIXERY_BASE_SIZE: size
    .prefault('4GB')
    .describe('maximum size of a base image, of its layers as they are and expanded'),
  NIXERY_IMAGE_URL: address
    .optional()
    .describe(
      'address of a page about the images, which every image tells in its label and annotation `org.opencontainers.image.url`',
    ),
  NIXERY_CREATED: oneOf('epoch', 'revision')
    .default('epoch')
    .describe(
      'when images say that they were made: `epoch`, in 1970, so that an image that stays the same keeps its digest; or `revision`, when the commit of their packages was made, which they name, so that each commit makes other images. For git repositories, flakes in one, and a commit as a channel',
    ),
  NIXERY_WARM: imageReferences
    .default([])
    .describe(
      'names of images, optionally with tags, to build when the server starts, when packages change, and when they are missing from the store; they count as in use while the server runs',
    ),
  NIXERY_WARM_TOP: whole('a number of images', 0, 1000)
    .default(10)
    .describe('how many of the most pulled images to rebuild ahead of demand when packages change'),
  NIXERY_MAX_QUEUE: whole('a number of builds', 1, 10_000)
    .default(200)
    .describe(
      'builds that may wait for Nix or for packing; further ones get 429. Known images and builds in progress are always served',
    ),
  NIXERY_RETRY_LEASE: seconds
    .default(600)
    .describe(
      'seconds for which a client that was told to retry counts as waiting, from its last request; a build without waiting clients is cancelled unless Nix has started it',
    ),
  NIXERY_MAX_WAIT: seconds
    .optional()
    .describe(
      'seconds that a request waits for a build before it gets a retry response; depends on the client if not set',
    ),
}
