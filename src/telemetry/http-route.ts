import type { RequestKind } from '../http/route.ts'

const registry: Partial<Record<RequestKind, string>> = {
  ping: '/v2/',
  catalog: '/v2/_catalog',
  image: '/v2/{name}/manifests/{reference}',
  manifest: '/v2/{name}/manifests/{reference}',
  referrersTag: '/v2/{name}/manifests/{reference}',
  attachedTag: '/v2/{name}/manifests/{reference}',
  blob: '/v2/{name}/blobs/{digest}',
  tags: '/v2/{name}/tags/list',
  referrers: '/v2/{name}/referrers/{digest}',
}

const fixed: ReadonlySet<string> = new Set([
  '/',
  '/admin',
  '/admin/keys',
  '/admin/keys/revoke',
  '/api/v1/search',
  '/compose',
  '/docs',
  '/healthz',
  '/login',
  '/login/callback',
  '/logout',
  '/metrics',
  '/readyz',
  '/token',
])

const templates: readonly (readonly [RegExp, string])[] = [
  [/^\/builds\/[^/]+\/events$/, '/builds/{id}/events'],
  [/^\/builds\/[^/]+$/, '/builds/{id}'],
  [/^\/docs\/./, '/docs/{page}'],
  [/^\/images\/./s, '/images/{name}'],
  [/^\/static\/[^/]+$/, '/static/{file}'],
]

/**
 * The route of a request for the attribute `http.route`: its path with placeholders, of which there are few
 * (opentelemetry.io/docs/specs/semconv/http/http-spans).
 * @param kind as in the log
 * @returns undefined for a path that no route has
 */
export function httpRoute(kind: RequestKind, path: string): string | undefined {
  const route = registry[kind]
  if (route !== undefined) return route
  return fixed.has(path) ? path : templates.find(([pattern]) => pattern.test(path))?.[1]
}
