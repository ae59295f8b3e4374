/** What a package says of its license, in the forms that nixpkgs has (lib/licenses). Null is a part that cannot be read. */
export type License =
  /** As the package writes it. */
  | { readonly text: string }
  | { readonly spdxId: string | null; readonly name: string | null }
  /** `AND`, `OR`; `WITH`, of a license and an exception; `+`, of one license. */
  | { readonly operator: string; readonly licenses: readonly (License | null)[] }
