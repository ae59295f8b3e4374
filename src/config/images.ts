import {
  folder,
  httpUrl,
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
      'folder with recipes, files `NAME.toml` or `NAME.json`; reloaded when they change ([recipes](recipes.md))',
    ),
  NIXERY_RECIPE_NAMES: oneOf('prefixed', 'bare')
    .default('prefixed')
    .describe(
      'whether recipe names need the prefix `recipe/`; with `bare`, `web` means the recipe of that name, and it is an error if a package has the same name',
    ),
  NIXERY_BASE_REGISTRIES: registryPlaces
    .default([])
    .describe(
      'registries, or folders in them, from which base images of recipes are allowed: `docker.io/library quay.io`; none if not set. Credentials are those that `podman login` or `docker login` stored for the user of the server ([recipes](recipes.md#base-images))',
    ),
  NIXERY_BASE_SIZE: size
    .prefault('4GB')
    .describe('maximum size of a base image, both compressed and uncompressed'),
  NIXERY_IMAGE_URL: httpUrl
    .optional()
    .describe(
      'URL of a page about the images, for the label and annotation `org.opencontainers.image.url` of every image',
    ),
  NIXERY_CREATED: oneOf('epoch', 'revision')
    .default('epoch')
    .describe(
      'creation time of images: `epoch`, in 1970, so that an unchanged image keeps its digest; or `revision`, the time of the package set’s commit, which images then name, so that each commit results in different images. For git repositories, flakes in one, and a commit as a channel',
    ),
  NIXERY_WARM: imageReferences
    .default([])
    .describe(
      'names of images, optionally with tags, to build when the server starts, when packages change, and when they are missing from the store; they count as in use while the server runs',
    ),
  NIXERY_WARM_TOP: whole('a number of images', 0, 1000)
    .default(10)
    .describe('number of the most pulled images to rebuild ahead of demand when packages change'),
  NIXERY_MAX_QUEUE: whole('a number of builds', 1, 10_000)
    .default(200)
    .describe(
      'maximum number of builds waiting for Nix or for packing; further ones get 429. Known images and builds in progress are always served',
    ),
  NIXERY_RETRY_LEASE: seconds
    .default(600)
    .describe(
      'seconds for which a client counts as waiting after a retry response; a build without waiting clients is cancelled unless Nix has started it',
    ),
  NIXERY_MAX_WAIT: seconds
    .optional()
    .describe(
      'seconds that a request waits for a build before it gets a retry response; depends on the client if not set',
    ),
}
