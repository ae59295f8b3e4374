import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Option } from 'commander'
import { buildImage } from '../builds/builds.ts'
import type { Config } from '../config.ts'
import { NixeryError } from '../errors.ts'
import { vocabularyOf } from '../config/set-config.ts'
import { parseWrittenReference } from '../image/command-line.ts'
import { formatImageName, parseTag } from '../image/name.ts'
import type { ManifestForm } from '../image/oci.ts'
import { findCredentials } from '../push/auth-files.ts'
import type { Credentials } from '../push/credentials.ts'
import { openPushMemory } from '../push/push-memory.ts'
import { openPush, type PushEvent } from '../push/push.ts'
import { checkedRepository, formatReference, parseReference, type Reference } from '../push/reference.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openWorkshop } from './compose.ts'
import { factsOf } from './image-facts.ts'

type Options = {
  readonly tag?: readonly string[]
  readonly format: ManifestForm
  readonly mountFrom?: string
  readonly insecure?: true
  readonly username?: string
  readonly passwordStdin?: true
}

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .argument('<image>', 'image name as in a pull: shell/git, or shell/git:TAG')
      .argument('<to>', 'target: registry.example/team/tools, or registry.example/team/tools:v1')
      .option('--tag <tag>', 'additional tag; may be repeated', collect)
      .addOption(
        new Option('--format <form>', 'format of the manifest').choices(['oci', 'docker']).default('oci'),
      )
      .option('--mount-from <repository>', 'repository of the same registry to mount layers from')
      .option('--insecure', 'allow untrusted certificates and plain HTTP; always allowed for this machine')
      .option(
        '--username <name>',
        'user name to use instead of the credentials of podman login or docker login',
      )
      .option('--password-stdin', 'read the password from standard input'),
  run: push,
})

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

async function push(context: CommandContext, options: Options, image: string, to: string): Promise<void> {
  const { progress, signal } = context
  const config = context.config()
  const request = parseWrittenReference(image, vocabularyOf(config))
  const target = parseReference(to)
  const { host, repository } = target
  const tags = [...new Set([target.tag, ...(options.tag ?? []).map(parseTag)])]
  const mountFrom = options.mountFrom && checkedRepository(host, options.mountFrom)
  const credentials = await credentialsFor(target, options)
  const memory = await openPushMemory(pushedFolder(config), host)

  const arrived = { present: 0, mounted: 0, uploaded: 0 }
  let sent = 0
  let total = 0
  const listener = (event: PushEvent) => {
    if (event.type === 'blob') arrived[event.arrival] += 1
    if (event.type !== 'sent') return progress.emit(event)
    sent += event.bytes
    progress.emit({ type: 'moved', verb: 'uploaded', done: Math.min(sent, total), total })
  }

  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    // The build may take long: first check that the registry is reachable and accepts the credentials.
    const pushing = await openPush(target, {
      credentials,
      insecure: options.insecure === true,
      mountFrom: (digest) => memory.repositoryWith(digest) ?? mountFrom,
      read: workshop.read,
      listener,
      signal,
    })
    try {
      const built = await buildImage(workshop.builds, request, { requestId: 'command line', signal })
      const facts = await factsOf(workshop.blobs, built)
      total = facts.size
      progress.emit({ type: 'pushing', to: formatReference(target), bytes: total })
      const manifest = built.manifests[options.format]
      const bytes = await workshop.blobs.readSmall(manifest.digest, manifest.size)
      if (!bytes) throw new NixeryError('BLOB_UNKNOWN', 'the image was removed while it was being read')
      const blobs = [built.config, ...built.layers]
      await pushing.push({ form: options.format, manifest: { ...manifest, bytes }, blobs }, repository, tags)
      await memory.remember(
        repository,
        blobs.map(({ digest }) => digest),
      )
      const result = {
        image: `${formatImageName(request)}:${request.tag}`,
        ...facts,
        digest: manifest.digest,
        references: tags.map((tag) => formatReference({ ...target, tag })),
        blobs: arrived,
        seconds: context.seconds(),
      }
      progress.done(
        `${result.references.join(', ')}: ${counted(facts.layers.length, 'layer')}, ${bytesText(total)}; blobs: ` +
          `${arrived.uploaded} uploaded, ${arrived.mounted} mounted, ${arrived.present} already present; ${result.seconds} s`,
      )
      context.print(result, `${host}/${repository}@${manifest.digest}`)
    } finally {
      pushing.close()
    }
  } finally {
    await workshop.close()
  }
}

const pushedFolder = ({ NIXERY_DATA }: Config): string => join(NIXERY_DATA, 'pushed')

/** The password is read from standard input: every user of the machine can see command lines. */
async function credentialsFor(
  { host, repository }: Reference,
  { username, passwordStdin }: Options,
): Promise<Credentials | undefined> {
  if ((username === undefined) !== (passwordStdin === undefined)) {
    throw new NixeryError('CONFIG_INVALID', '--username and --password-stdin must be given together')
  }
  if (username === undefined) return findCredentials(host, repository, process.env)
  const password = (await text(process.stdin)).replace(/\r?\n$/, '')
  if (password === '') throw new NixeryError('CONFIG_INVALID', 'no password on standard input')
  return { kind: 'password', username, password }
}
