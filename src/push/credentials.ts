/** Credentials for a registry. Must never be printed. */
export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** A refresh token, which a token server accepts in place of a password. */
  | { readonly kind: 'identity'; readonly token: string }
  /** A token that the registry itself accepts. */
  | { readonly kind: 'bearer'; readonly token: string }
