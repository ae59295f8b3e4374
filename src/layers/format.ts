import {
  mediaTypes,
  type Annotations,
  type Compression,
  type Layer,
  type ManifestForm,
} from '../image/oci.ts'

/**
 * A layer format: how manifests describe a layer, and how its bytes are framed. Several engines can produce the same
 * format. The catalog stores a format's name with every layer, so it must not change.
 */
export type LayerFormat = PackFormat & {
  readonly name: Compression
  readonly mediaTypes: Readonly<Record<ManifestForm, string>>
  /**
   * The annotations of a layer's OCI descriptor; Docker's descriptors have none. They depend only on the layer, because
   * manifests are composed again from layers that were packed long ago.
   */
  readonly annotations: (layer: Layer) => Annotations
}

/** The part of a format that packing threads need, as plain data. */
export type PackFormat = {
  readonly framing: Framing
  /**
   * What is stored about each member, the part of a layer made from one store path: its `span`, so that it can be copied
   * into other layers, or `nothing` for formats without checksums, where damage to a copy would go unnoticed.
   */
  readonly stored: 'span' | 'nothing'
}

/**
 * How members are framed. The tar of a store path is cut into blocks, and each block becomes a gzip member or a zstd
 * frame of its own. So blocks can be compressed in parallel, and members can be concatenated.
 */
export type Framing = {
  /** Bytes of tar in a frame; the last frame of a member has fewer. */
  readonly block: number
  /** The largest size of a frame in bytes: incompressible data takes more than `block`. */
  readonly room: number
}

// Framing adds 0.1 % to the size of gzip. The block size is part of every compressor's id, and so of every key.
const megabyte = 1024 * 1024
/** zlib's stored blocks add at most a header and 5 bytes in 16 KiB; zstd's add less. */
const framing: Framing = { block: megabyte, room: megabyte + 64 * 1024 }
const noAnnotations = () => ({})

const typesOf = (name: Compression) => ({
  docker: mediaTypes.docker.layer[name],
  oci: mediaTypes.oci.layer[name],
})

/** All formats, by the name under which the catalog stores them. */
export const layerFormats: Readonly<Record<Compression, LayerFormat>> = {
  gzip: { name: 'gzip', mediaTypes: typesOf('gzip'), framing, stored: 'span', annotations: noAnnotations },
  zstd: { name: 'zstd', mediaTypes: typesOf('zstd'), framing, stored: 'span', annotations: noAnnotations },
  none: { name: 'none', mediaTypes: typesOf('none'), framing, stored: 'nothing', annotations: noAnnotations },
}

/** The descriptor of a layer in a manifest of this form. */
export function layerDescriptor(form: ManifestForm, layer: Layer) {
  const { mediaTypes: types, annotations } = layerFormats[layer.compression]
  const { digest, size } = layer
  return { mediaType: types[form], digest, size, annotations: annotations(layer) }
}
