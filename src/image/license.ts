/** The license of a package, in the forms of nixpkgs (lib/licenses). Null stands for an unreadable part. */
export type License =
  /** The text of the package. */
  | { readonly text: string }
  | { readonly spdxId: string | null; readonly name: string | null }
  /** `AND`, `OR`; `WITH` for a license and an exception; `+` for one license. */
  | { readonly operator: string; readonly licenses: readonly (License | null)[] }
