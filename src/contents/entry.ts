/**
 * A file, folder or link, as in archives. All layers consist of these. Names and link targets are byte strings
 * (`latin1`: one character is one byte), because Nix allows any byte in them; their order is byte order.
 */
export type Entry<Bytes extends Content = Content> =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly owner?: Owner }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly content: Bytes
      readonly owner?: Owner
    }

/** An owner by id; default: root, which owns everything in the store. */
export type Owner = { readonly uid: number; readonly gid: number }

/** An entry that is plain data, so that it can be sent to a packing thread. */
export type PlainEntry = Entry<{ readonly bytes: Uint8Array }>

/**
 * A file's bytes: in memory, or `size` bytes to be read. They are read once, from start to end, before the next entry
 * is requested, so that a stream of many files needs only its own buffer.
 */
export type Content = { readonly bytes: Uint8Array } | { readonly size: number; open(): FileReader }

/** A file that is being read, synchronously: for worker threads. */
export type FileReader = {
  /** Fills the start of `into` with the next bytes and returns how many: at least 1, and 0 at the end of the file. */
  read(into: Uint8Array): number
  /** Called once, however reading ended. */
  close(): void
}

/** Decompresses a file while it is read. The caller closes the compressed file. */
export type OpenStream = (compressed: Pick<FileReader, 'read'>) => FileReader
