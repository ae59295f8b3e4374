import {
  mediaTypes,
  type Annotations,
  type Compression,
  type Layer,
  type ManifestForm,
} from '../image/oci.ts'

/**
 * A format of layers: what a client is told of one, and how its bytes are made. What compresses is an engine; several
 * may make the same format. A format's name is remembered with every layer, so it must not change.
 */
export type LayerFormat = PackFormat & {
  readonly name: Compression
  readonly mediaTypes: Readonly<Record<ManifestForm, string>>
  /**
   * What a layer's descriptor says of it besides, in OCI's form; Docker's has no place for it. It depends on the layer
   * alone, as a manifest is composed anew from layers that were packed long ago.
   */
  readonly annotations: (layer: Layer) => Annotations
}

/** What of a format packing threads go by: plain data. */
export type PackFormat = {
  readonly framing: Framing
  /**
   * What is kept for each member, the part of a layer that one store path makes: its `span`, from which it is copied
   * into other layers; or `nothing`, where no checksum would tell that what is copied is whole.
   */
  readonly kept: 'span' | 'nothing'
}

/**
 * How members are framed. The tar of a store path is cut into blocks; each becomes a frame by itself, a gzip member or
 * a zstd frame, so that blocks can be compressed in parallel and members can be put one behind another.
 */
export type Framing = {
  /** Bytes of tar in a frame; the last one of a member has fewer. */
  readonly block: number
  /** Bytes that a frame may take: of data that cannot be compressed, more than `block`. */
  readonly room: number
}

// The cost in size is 0.1 % of gzip's. It is part of every compressor's id, and so of every key.
const megabyte = 1024 * 1024
/** A header and 5 bytes in 16 KiB are the most that zlib's stored blocks add; zstd's add less. */
const framing: Framing = { block: megabyte, room: megabyte + 64 * 1024 }
const noAnnotations = () => ({})

const typesOf = (name: Compression) => ({
  docker: mediaTypes.docker.layer[name],
  oci: mediaTypes.oci.layer[name],
})

/** All formats, by the name that the catalog remembers them by. */
export const layerFormats: Readonly<Record<Compression, LayerFormat>> = {
  gzip: { name: 'gzip', mediaTypes: typesOf('gzip'), framing, kept: 'span', annotations: noAnnotations },
  zstd: { name: 'zstd', mediaTypes: typesOf('zstd'), framing, kept: 'span', annotations: noAnnotations },
  none: { name: 'none', mediaTypes: typesOf('none'), framing, kept: 'nothing', annotations: noAnnotations },
}

/** What a manifest of this form says of a layer. */
export function layerDescriptor(form: ManifestForm, layer: Layer) {
  const { mediaTypes: types, annotations } = layerFormats[layer.compression]
  const { digest, size } = layer
  return { mediaType: types[form], digest, size, annotations: annotations(layer) }
}
