/**
 * The numbers of pcapng that its reader and its writer share.
 *
 * Specification: draft-ietf-opsawg-pcapng, sections 3 (blocks and options) and 4 (each block).
 */

/** Block types. */
export const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
export const INTERFACE_DESCRIPTION_BLOCK = 1;
export const PACKET_BLOCK = 2;
export const SIMPLE_PACKET_BLOCK = 3;
export const ENHANCED_PACKET_BLOCK = 6;

/** Every block: type, total length, body, total length again; offsets and lengths in bytes. */
export const BLOCK_LENGTH = 4;
export const BLOCK_HEADER = 8;
export const BLOCK_TRAILER = 4;

/** Section header block: the byte-order magic reads as this number in the section's own byte order. */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Options: a code and a length of 16 bits each, then the value, padded to 4 bytes. */
export const OPTION_HEADER = 4;
export const OPT_ENDOFOPT = 0;
export const OPT_COMMENT = 1;
export const SHB_USERAPPL = 4;
export const IF_NAME = 2;
export const IF_DESCRIPTION = 3;
export const IF_TSRESOL = 9;
export const IF_FCSLEN = 13;
export const IF_TSOFFSET = 14;
export const EPB_FLAGS = 2;

/** The next multiple of 4: block bodies and option values are padded to it. */
export function padded(length: number): number {
  return (length + 3) & ~3;
}
