import { html } from 'hono/html'
import { impliedPackages } from '../image/name.ts'
import { recipes, type Recipe, type RecipeName } from '../image/recipes.ts'
import { platforms, type Platform } from '../image/platform.ts'
import { encodeSpelling } from '../image/spelling.ts'
import type { SourceDescription } from './describe.ts'
import type { BuildRecord } from './history.ts'
import { isLoopback, unknownHost } from './host.ts'
import type { Frame, Html, Page } from './layout.ts'
import { ago, durationText, imageText } from './words.ts'

export type Home = {
  /** As `registryHost` has it. */
  readonly host: string
  readonly described: SourceDescription
  /** What a name that says no platform means: one, or the client's own among these. */
  readonly defaults: readonly Platform[]
  /** Recent builds, newest first; undefined where they are not listed. */
  readonly builds: readonly BuildRecord[] | undefined
  readonly now: number
}

const mostBuilds = 20
const mostErrors = 15 // as many as the original shows
const mostLinesOfError = 8

/** The page at `/`. */
export const homePage = (frame: Frame, { host, described, defaults, builds, now }: Home): Page => ({
  title: 'Nixery',
  body: html`<header class="head">
      <img src="${frame.assets.logo.path}" width="56" height="56" alt="" />
      <div>
        <h1>Nixery</h1>
        <p class="quiet">Container images of Nix packages, made while you pull them.</p>
      </div>
    </header>
    <main>
      ${pulling(host)} ${names(defaults)} ${source(described)}
      ${builds ? html`${recentBuilds(builds, now)} ${recentErrors(builds, now)}` : ownBuilds}
    </main>`,
})

const pulling = (host: string): Html =>
  html`<section>
    <h2>Pull an image</h2>
    <p>
      The name of an image says what is in it: a path of packages. When someone pulls it, Nix builds or
      fetches them, and this registry makes layers of them which other images share. There is no Dockerfile,
      and nothing is pushed.
    </p>
    <h3>Docker</h3>
    <pre><code>docker pull ${host}/shell/git/htop
docker run -ti ${host}/shell/git/htop bash</code></pre>
    <h3>Podman</h3>
    <pre><code>podman pull${isLoopback(host) && ' --tls-verify=false'} ${host}/shell/git/htop
podman run -ti ${host}/shell/git/htop bash</code></pre>
    ${host === unknownHost && html`<p class="small">Put this registry’s own address in place of <code>${host}</code>.</p>`}
    ${
      !isLoopback(host) &&
      html`<p class="quiet small">
        Clients expect TLS of a registry. If this one is reached without, Podman wants
        <code>--tls-verify=false</code>, and Docker the address in <code>insecure-registries</code>.
      </p>`
    }
  </section>`

const names = (defaults: readonly Platform[]): Html =>
  html`<section>
    <h2>Meta-packages</h2>
    <p>Names that are no packages. They stand first in a path, in any order.</p>
    <table class="rows">
      <thead>
        <tr>
          <th>name</th>
          <th>meaning</th>
        </tr>
      </thead>
      <tbody>
        ${recipeRows.map(
          ([name, meaning]) =>
            html`<tr>
              <td><code>${name}</code></td>
              <td>${meaning}</td>
            </tr>`,
        )}
        ${Object.values(platforms).map(
          (platform) =>
            html`<tr>
              <td><code>${platform.architecture}</code></td>
              <td>for ${platform.system}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    <p class="quiet small">
      If the package set has a package called <code>ci</code>, <code>compat</code> or
      <code>devcontainer</code>, that word means the package; <code>recipe/ci</code> always means the
      meta-package.
    </p>
    <p class="quiet small">
      All other parts are packages. Dots reach into sets of them (<code>python3Packages.requests</code>), and
      capital letters can be left out. A character that no image name can hold is spelled:
      <code>${encodeSpelling('gtk+3')}</code> is <code>gtk+3</code>. Every image has
      ${impliedPackages.join(' and ')} where they exist.
    </p>
    <h2>Platforms</h2>
    <p>${platformsText(defaults)}</p>
  </section>`

const recipeRows: readonly (readonly [name: RecipeName, meaning: string])[] = [
  ['shell', `${recipes.shell.packages.join(', ')}; bash is what starts`],
  ['ci', `what CI jobs expect: shell, and ${namesBeyond(recipes.ci, recipes.shell)}`],
  ['compat', 'for programs that were built elsewhere: libstdc++, libgcc and zlib'],
  ['devcontainer', 'for the dev containers of editors: ci, compat and getent'],
]

/** The packages that one recipe has more than another. */
function namesBeyond(recipe: Recipe, other: Recipe): string {
  return recipe.packages.filter((choice) => !other.packages.includes(choice)).join(', ')
}

/** What a name without a platform means, and for whom that is the wrong one. */
function platformsText(defaults: readonly Platform[]): Html {
  const [only, ...others] = defaults.map(({ architecture }) => architecture)
  const other = Object.keys(platforms).find((each) => each !== only) ?? ''
  return others.length > 0
    ? html`A name without a platform is for ${[only, ...others].join(' and ')}: each machine gets its own.`
    : html`A name without a platform is for <strong>${only}</strong> alone, also when it is pulled on another
        machine: there, write <code>${other}</code> first.`
}

const source = ({ source: text, revision }: SourceDescription): Html =>
  html`<section>
    <h2>Where packages come from</h2>
    <dl>
      <dt>source</dt>
      <dd>${text}</dd>
      <dt>revision</dt>
      <dd>
        ${revision === undefined ? html`<span class="quiet">not known yet</span>` : html`<code>${revision}</code>`}
      </dd>
    </dl>
  </section>`

const ownBuilds = html`<section>
  <h2>Builds</h2>
  <p class="quiet">
    While an image is being built, and when a build fails, the answer to the pull has the address of the
    build's page.
  </p>
</section>`

const link = ({ id, image }: BuildRecord): Html =>
  html`<a class="image" href="/builds/${id}">${imageText(image)}</a>`

const recentBuilds = (builds: readonly BuildRecord[], now: number): Html =>
  html`<section>
    <h2>Recent builds</h2>
    ${
      builds.length === 0
        ? html`<p class="quiet">None since this server was started.</p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th>image</th>
                <th>state</th>
                <th>began</th>
                <th>took</th>
              </tr>
            </thead>
            <tbody>
              ${builds.slice(0, mostBuilds).map(
                (build) =>
                  html`<tr>
                    <td>${link(build)}</td>
                    <td class="fixed state ${build.state}">${build.state}</td>
                    <td class="fixed quiet">${ago(build.startedAt, now)}</td>
                    <td class="fixed quiet">${durationText(build.ms)}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }
  </section>`

function recentErrors(builds: readonly BuildRecord[], now: number): Html {
  const failed = builds.filter(({ failure }) => failure !== undefined).slice(0, mostErrors)
  return html`<section>
    <h2>Recent build errors</h2>
    ${failed.length === 0 && html`<p class="quiet">None.</p>`}
    ${failed.map(
      (build) =>
        html`<article class="error">
          <header>${link(build)} <span class="quiet small">${ago(build.startedAt, now)}</span></header>
          <pre class="message">${excerpt(build.failure?.message ?? '')}</pre>
        </article>`,
    )}
  </section>`
}

/** What failed and the last lines, which say why; the build's own page has all of the message. */
function excerpt(message: string): string {
  const lines = message.split('\n')
  if (lines.length <= mostLinesOfError) return message
  return [lines[0], '…', ...lines.slice(2 - mostLinesOfError)].join('\n')
}
