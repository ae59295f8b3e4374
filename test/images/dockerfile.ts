import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '../support/clients/client.ts'

/** The base image of the Dockerfile. */
export const base = 'ci/shadow/sudo/linux-pam/tzdata/ncurses'

const dockerfile = (image: string) => `FROM ${image}
COPY tool /usr/local/bin/
RUN tool
RUN groupadd --system team && useradd --create-home --groups team app
RUN mkdir -p /opt/app && ln -s /opt/app/tool /usr/bin/linked && cp /usr/local/bin/tool /opt/app/
ENV LEVEL=2
USER app
WORKDIR /home/app
RUN id -un >who && linked >>who
CMD ["sh", "-c", "cat who; tool; id -nG; pwd"]
`

/** The output of the built image. */
export const expectedOutput = 'app\ntool 2\ntool 2\napp team\n/home/app'

/** Builds an image from a Dockerfile and runs it. */
export async function buildAndRun(
  client: Client,
  folder: string,
  image: string,
  name: string,
): Promise<string> {
  const context = join(folder, `context-${name.replaceAll(' ', '-')}`)
  await mkdir(context)
  await writeFile(join(context, 'Dockerfile'), dockerfile(image))
  await writeFile(join(context, 'tool'), '#!/usr/bin/bash\necho "tool ${LEVEL-1}"\n')
  await chmod(join(context, 'tool'), 0o755)
  const tag = 'localhost/built'
  const ran = await client.build?.(context, tag)
  assert.ok(ran?.ok, ran?.output)
  assert.match(ran.output, /^tool 1$/m)
  // `buildah run` does not use the default command.
  const script = 'cat who; tool; id -nG; pwd'
  const { output } = (await client.run?.(tag, 'sh', '-c', script)) ?? { output: 'no containers' }
  return output.trim()
}
