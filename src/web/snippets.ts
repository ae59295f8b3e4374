import { isLoopback } from './host.ts'

/** How a client uses an image. */
export type Snippet = {
  readonly id: string
  readonly label: string
  /** Where the text belongs: a shell, or a file name. */
  readonly place: string
  text(image: SnippetImage): string
}

export type SnippetImage = {
  /** The registry part of the name. */
  readonly host: string
  readonly name: string
  /** Whether the image has a shell. */
  readonly hasShell: boolean
  /** A program of the image, if known. */
  readonly program: string | undefined
}

/**
 * The first program whose name needs no quotes in a shell or in YAML. Names come from the package set, and people run
 * the copied commands on their own machines.
 */
export const plainProgram = (programs: readonly string[]): string | undefined =>
  programs.find((name) => /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}$/.test(name))

/** Runs the shell or a program; an image of which no program is known is only pulled: it may have no command to run. */
const runOrPull = (client: string, image: SnippetImage, options = ''): string => {
  const command = shellOr(image)
  const how = command === '' ? 'pull' : 'run --rm -ti'
  return `${client} ${how}${options} ${reference(image)}${command}`
}

const shellOr = ({ hasShell, program }: SnippetImage): string =>
  hasShell ? ' bash' : program ? ` ${program}` : ''
const reference = ({ host, name }: SnippetImage): string => `${host}/${name}`
const sleepOr = ({ hasShell, program }: SnippetImage): string =>
  hasShell ? '[sleep, infinity]' : `[${JSON.stringify(program ?? 'true')}]`

/** The clients, in the order of their tabs. */
export const snippets: readonly Snippet[] = [
  {
    id: 'docker',
    label: 'Docker',
    place: 'in a shell',
    text: (image) => runOrPull('docker', image),
  },
  {
    id: 'podman',
    label: 'Podman',
    place: 'in a shell',
    text: (image) => runOrPull('podman', image, isLoopback(image.host) ? ' --tls-verify=false' : ''),
  },
  {
    id: 'kubernetes',
    label: 'Kubernetes',
    place: 'pod.yaml',
    text: (image) => `apiVersion: v1
kind: Pod
metadata:
  name: tools
spec:
  containers:
    - name: tools
      image: ${reference(image)}
      imagePullPolicy: IfNotPresent
      command: ${sleepOr(image)}`,
  },
  {
    id: 'compose',
    label: 'Compose',
    place: 'compose.yaml',
    text: (image) => `services:
  tools:
    image: ${reference(image)}
    command: ${sleepOr(image)}
    stdin_open: true
    tty: true`,
  },
  {
    id: 'gitlab',
    label: 'GitLab CI',
    place: '.gitlab-ci.yml',
    text: (image) => `test:
  image: ${reference(image)}
  script:
    - ${image.program ?? 'env'} --version`,
  },
  {
    id: 'github',
    label: 'GitHub Actions',
    place: '.github/workflows/test.yml',
    text: (image) => `on: push
jobs:
  test:
    runs-on: ubuntu-latest
    container: ${reference(image)}
    steps:
      - uses: actions/checkout@v4
      - run: ${image.program ?? 'env'} --version`,
  },
  {
    id: 'devcontainer',
    label: 'Dev container',
    place: '.devcontainer/devcontainer.json',
    text: (image) =>
      JSON.stringify({ name: 'nixery', image: reference(image), remoteUser: 'root' }, undefined, 2),
  },
  {
    id: 'dockerfile',
    label: 'Dockerfile',
    place: 'Dockerfile',
    text: (image) => `FROM debian:stable-slim
COPY --from=${reference(image)} /nix/store /nix/store
COPY --from=${reference(image)} /usr/bin /opt/nixery/bin
ENV PATH=/opt/nixery/bin:$PATH`,
  },
  {
    id: 'build',
    label: 'nixery build',
    place: 'in a shell, without a server',
    text: ({ name }) => `nixery build ${name} --output docker-archive:image.tar`,
  },
]
