import { html } from 'hono/html'
import { impliedPackages } from '../image/name.ts'
import { recipes, type BuiltInRecipe, type Recipe } from '../image/recipes.ts'
import { platforms, type Platform } from '../image/platform.ts'
import { encodeSpelling } from '../image/spelling.ts'
import type { SourceDescription } from './describe.ts'
import type { BuildRecord } from './history.ts'
import { isLoopback, unknownHost } from './host.ts'
import { hero } from './hero.ts'
import type { Frame, Html, Page } from './layout.ts'
import { ago, durationText, imageText } from './times.ts'

export type Home = {
  /** From `registryHost`. */
  readonly host: string
  readonly described: readonly SourceDescription[]
  /** The platform of names without one; if several, the client's own among them. */
  readonly defaults: readonly Platform[]
  /** Recent builds, newest first; undefined if they are not listed. */
  readonly builds: readonly BuildRecord[] | undefined
  readonly now: number
}

const mostBuilds = 20
const mostErrors = 15 // as many as the original shows
const mostLinesOfError = 8

/** The page at `/`. */
export const homePage = (frame: Frame, { host, described, defaults, builds, now }: Home): Page => ({
  title: 'Nixery',
  hasForm: frame.composes,
  body: html`<main class="start">
    ${hero(frame, host)} ${pulling(host)} ${names(defaults)} ${source(described)}
    ${builds ? html`${recentBuilds(builds, defaults.length > 1, now)} ${recentErrors(builds, now)}` : ownBuilds}
  </main>`,
})

const pulling = (host: string): Html =>
  html`<section>
    <h2>Pull an image</h2>
    <p>
      The name of an image lists the packages in it. When you pull it, Nix builds or fetches the packages, and
      this registry packs them into layers that images share.
    </p>
    <h3>Docker</h3>
    <pre tabindex="0" role="region" aria-label="Commands for Docker"><code>docker pull ${host}/shell/git/htop
docker run -ti ${host}/shell/git/htop bash</code></pre>
    <h3>Podman</h3>
    <pre
      tabindex="0"
      role="region"
      aria-label="Commands for Podman"
    ><code>podman pull${isLoopback(host) && ' --tls-verify=false'} ${host}/shell/git/htop
podman run -ti ${host}/shell/git/htop bash</code></pre>
    ${host === unknownHost && html`<p class="small">Replace <code>${host}</code> with this registry’s address.</p>`}
    ${
      !isLoopback(host) &&
      html`<p class="quiet small">
        Clients expect TLS. If this registry does not use it, Podman needs
        <code>--tls-verify=false</code>, and Docker needs the address in <code>insecure-registries</code>.
      </p>`
    }
  </section>`

const names = (defaults: readonly Platform[]): Html =>
  html`<section>
      <h2>Meta-packages</h2>
      <p>Words that are not packages. They come first in a name, in any order.</p>
      <table class="rows words">
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
        If the package set has a package named <code>ci</code>, <code>compat</code> or
        <code>devcontainer</code>, that word means the package; <code>recipe/ci</code> always means the
        meta-package.
      </p>
      <p class="quiet small">
        All other parts are packages. Dots separate nested sets (<code>python3Packages.requests</code>), and
        names are case-insensitive. Characters that image names cannot contain are spelled:
        <code>${encodeSpelling('gtk+3')}</code> is <code>gtk+3</code>. Every image also has
        ${impliedPackages.join(' and ')}, if the package set has them.
      </p>
    </section>
    <section>
      <h2>Platforms</h2>
      <p>${platformsText(defaults)}</p>
    </section>`

const recipeRows: readonly (readonly [name: BuiltInRecipe, meaning: string])[] = [
  ['shell', `${recipes.shell.packages.join(', ')}; bash is the default command`],
  ['ci', `tools for CI jobs: shell, and ${namesBeyond(recipes.ci, recipes.shell)}`],
  ['compat', 'for programs built elsewhere: libstdc++, libgcc and zlib'],
  ['devcontainer', 'for dev containers: ci, compat and getent'],
]

/** The packages that one recipe has more than another. */
function namesBeyond(recipe: Recipe, other: Recipe): string {
  return recipe.packages.filter((choice) => !other.packages.includes(choice)).join(', ')
}

/** Explains which platform a name without one means, and what to write for another. */
function platformsText(defaults: readonly Platform[]): Html {
  const [only, ...others] = defaults.map(({ architecture }) => architecture)
  const other = Object.keys(platforms).find((each) => each !== only) ?? ''
  return others.length > 0
    ? html`A name without a platform is for ${[only, ...others].join(' and ')}: each machine gets the image
      for its own platform.`
    : html`A name without a platform is for <strong>${only}</strong> only, even on machines of another
        platform: there, write <code>${other}</code> first.`
}

const source = (described: readonly SourceDescription[]): Html =>
  html`<section>
    <h2>Where packages come from</h2>
    ${
      described.length > 1 &&
      html`<p>
        There are ${described.length} package sets. Names mean packages of the first, unless they begin with
        another: <code>${described[1]?.set}/git</code>. All packages of an image come from one set.
      </p>`
    }
    ${described.map(oneSource)}
  </section>`

const oneSource = ({ set, source: text, revision }: SourceDescription): Html =>
  html`<dl>
    ${
      set !== undefined &&
      html`<dt>package set</dt>
        <dd><code>${set}</code></dd>`
    }
    <dt>source</dt>
    <dd>${text}</dd>
    <dt>revision</dt>
    <dd>
      ${revision === undefined ? html`<span class="quiet">not known yet</span>` : html`<code>${revision}</code>`}
    </dd>
  </dl>`

const ownBuilds = html`<section>
  <h2>Builds</h2>
  <p class="quiet">
    If a build fails or takes long, the response to the pull has a link to the build's page.
  </p>
</section>`

const link = ({ id, image }: BuildRecord): Html =>
  html`<a class="image" href="/builds/${id}">${imageText(image)}</a>`

/** @param showPlatform whether a name without a platform has several builds */
const recentBuilds = (builds: readonly BuildRecord[], showPlatform: boolean, now: number): Html =>
  html`<section>
    <h2>Recent builds</h2>
    ${
      builds.length === 0
        ? html`<p class="quiet">None since this server started.</p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th>image</th>
                <th>state</th>
                <th>started</th>
                <th>took</th>
              </tr>
            </thead>
            <tbody>
              ${builds.slice(0, mostBuilds).map(
                (build) =>
                  html`<tr>
                    <td>
                      ${link(build)}
                      ${showPlatform && html`<span class="quiet small">${build.platform ?? ''}</span>`}
                    </td>
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

/** The first and the last lines of a message; the build's page has all of it. */
function excerpt(message: string): string {
  const lines = message.split('\n')
  if (lines.length <= mostLinesOfError) return message
  return [lines[0], '…', ...lines.slice(2 - mostLinesOfError)].join('\n')
}
